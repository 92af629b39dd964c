r"""A discrete chain along forward paths: the pieces from which every bound of its likelihood is made.

On a grid t_min = t_0 < ... < t_T = horizon the model starts at the prior and steps down by p(x_s | x_t) =
N(m(x_t, D(x_t)), e^rho v I), where the posterior q(x_s | x_t, x_0) = N(m(x_t, x_0), v I) has v = sigma_s^2 (1 - e^{l_t - l_s}).
On a path of q, x_s = m(x_t, x_0) + sqrt(v) z, and with delta^2 = (e^{l_s} - e^{l_t}) (D(x_t) - x_0)^2 coordinate by coordinate,

    log p(x_s | x_t) - log q(x_s | x_t, x_0) = (z^2 - (z - delta)^2 e^-rho - rho)/2,                                 (1)
    -KL(q || p) = -(rho + (1 + delta^2) e^-rho - 1)/2,                                                             (2)

the mean of (1) over z. rho = 0 is the posterior's own variance, the best for data at a point.

References:
    Sohl-Dickstein et al., Deep Unsupervised Learning using Nonequilibrium Thermodynamics, 2015, https://arxiv.org/abs/1503.03585
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, equation (5)
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, appendix A.4
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.limited import check_equation
from sde_diffusion.likelihood.reconstruction import Reconstruction, gaussian
from sde_diffusion.reversal.base import in_log_snr
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import Spacing

LogExcess = Callable[[LinearSDE, Tensor, float, float], Tensor]
"""(sde, x_t (B, *E), t, s) -> rho, broadcast to (B, *E)."""


def posterior_variance(sde: LinearSDE, x_t: Tensor, t: float, s: float) -> Tensor:
    """rho = 0."""
    return x_t.new_zeros(())


def forward_variance(sde: LinearSDE, x_t: Tensor, t: float, s: float) -> Tensor:
    """e^rho v is the variance of the forward step: rho = log(sigma_t^2/sigma_s^2). The best for data from N(0, I)."""
    return x_t.new_tensor(2 * math.log(sde.sigma(t) / sde.sigma(s)))


@dataclass(frozen=True)
class Chain:
    """A model of T = `steps` steps on a grid from the horizon to t_min, equal steps of log-SNR by default.

    Attributes:
        prior: the distribution at the horizon, anything with log_prob; the process's own by default.
        log_excess: rho of the reverse steps.
        reconstruction: the last factor.
    """

    sde: LinearSDE
    denoiser: Denoiser
    steps: int = 100
    spacing: Spacing | None = None
    prior: Any = None
    log_excess: LogExcess = posterior_variance
    reconstruction: Reconstruction = gaussian

    def __post_init__(self) -> None:
        """Raises ValueError for a denoiser that is no score."""
        check_equation("a bound of the likelihood", self.denoiser, None)

    def times(self) -> list[float]:
        """The grid, downwards; ValueError for fewer than one step."""
        spacing = in_log_snr(self.sde) if self.spacing is None else self.spacing
        return spacing(self.sde.horizon, self.sde.t_min, self.steps).tolist()


@dataclass(frozen=True)
class Pieces:
    """Of B paths, in nats, each (B,): log p - log q at the horizon, the sums of (2) and of (1), the reconstruction."""

    prior: Tensor
    diffusion: Tensor
    realised: Tensor
    reconstruction: Tensor


@torch.no_grad()
def forward_path_terms(chain: Chain, x0: Tensor, generator: torch.Generator | None = None) -> Pieces:
    """One path of q for each x0 (B, *E), from the horizon to t_min."""
    sde, times = chain.sde, chain.times()

    def normal() -> Tensor:
        return torch.randn(x0.shape, generator=generator, dtype=x0.dtype, device=x0.device)

    z = normal()
    x, first = sde.kernel(times[0]).perturb(x0, z), prior_term(chain, x0, z)
    diffusion, realised = torch.zeros_like(first), torch.zeros_like(first)
    for t, s in pairwise(times):
        z = normal()
        data = chain.denoiser(x, sde.kernel(t))
        delta = (data - x0) * math.sqrt(math.exp(sde.log_snr(s)) * -math.expm1(sde.log_snr(t) - sde.log_snr(s)))
        rho = chain.log_excess(sde, x, t, s)
        diffusion -= 0.5 * _total(rho + (1 + delta**2) * torch.exp(-rho) - 1)
        realised += 0.5 * _total(z**2 - (z - delta) ** 2 * torch.exp(-rho) - rho)
        mean, std = sde.posterior(x, x0, t, s)
        x = mean + std * z
    return Pieces(first, diffusion, realised, reconstruction_term(chain, x0, x))


def prior_term(chain: Chain, x0: Tensor, z: Tensor) -> Tensor:
    """log p(x_T) - log q(x_T | x_0) at x_T = alpha x_0 + sigma z, (B,)."""
    kernel = chain.sde.kernel(chain.sde.horizon)
    prior = chain.sde.prior() if chain.prior is None else chain.prior
    own = -0.5 * _total(z**2) - x0[0].numel() * math.log(kernel.sigma * math.sqrt(2 * math.pi))
    return prior.log_prob(kernel.perturb(x0, z)) - own


def reconstruction_term(chain: Chain, x0: Tensor, x: Tensor) -> Tensor:
    """log p(x_0 | x) at x = x_{t_min}, (B,)."""
    kernel = chain.sde.kernel(chain.sde.t_min)
    return chain.reconstruction(x0, x, chain.denoiser(x, kernel), kernel)


def _total(values: Tensor) -> Tensor:
    return values.flatten(1).sum(1)
