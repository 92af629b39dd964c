r"""DDPM's ancestral sampler and DDIM, on any grid of any linear process.

With q = 1 - SNR_t/SNR_s, the part forgotten between s and t, and x0_hat = D(x_t):

    DDPM, "small" variance   x_s ~ N(posterior mean(x_t, x0_hat), sigma_s^2 q)                                   (1)
    DDPM, "large" variance   the same mean, the variance sigma_t^2 q of the forward step from s to t             (2)
    DDIM(eta)                x_s = alpha_s x0_hat + sqrt(sigma_s^2 - v) eps_hat + sqrt(v) z,  v = eta^2 sigma_s^2 q (3)

On a chain of betas the variances (1) and (2) are beta_tilde and beta. DDIM(1) is (1); DDIM(0) is exponential Euler in the data form.

References:
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, section 3.2
    Song, Meng & Ermon, Denoising Diffusion Implicit Models, 2021, https://arxiv.org/abs/2010.02502, equation (12)
"""

from __future__ import annotations

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal.base import Model, Reversal, on_sde_time
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import expm1, sqrt
from solvers.elementwise import Coefficient, combine
from solvers.equations import MarkovChain


@form(LinearSDE, eta=1.0)
def ancestral(sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """Equation (1): DDPM with the posterior's own variance, optimal for data at a point."""
    return ddim(sde, denoiser, eta=1.0)


@form(LinearSDE, eta=1.0)
def ancestral_large(sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """DDPM's other choice, the forward step's variance beta: optimal for data from N(0, I)."""

    def spread(t: Coefficient, s: Coefficient) -> Coefficient:
        return sde.sigma(t) * sqrt(_forgotten(sde, t, s))

    return on_sde_time(sde, denoiser, MarkovChain(_mean(sde, denoiser, 1.0), spread))


@form(LinearSDE)
def ddim(sde: LinearSDE, denoiser: Denoiser, eta: float = 0.0) -> Reversal:
    """Equation (3), with 0 <= eta <= 1."""
    if not 0 <= eta <= 1:
        raise ValueError(f"DDIM takes eta in [0, 1], got {eta}; for more noise take data_form(sde, denoiser, eta)")
    chain = MarkovChain(_mean(sde, denoiser, eta), lambda t, s: eta * sde.sigma(s) * sqrt(_forgotten(sde, t, s)))
    return on_sde_time(sde, denoiser, chain)


def _mean(sde: LinearSDE, denoiser: Model, eta: float):
    def mean(x: Tensor, t: Coefficient, s: Coefficient) -> Tensor:
        kernel, sigma_s = sde.kernel(t), sde.sigma(s)
        kept = sigma_s * sqrt(1 - eta**2 * _forgotten(sde, t, s)) / kernel.sigma
        return combine(kept, x, sde.alpha(s) - kept * kernel.alpha, denoiser(x, kernel))

    return mean


def _forgotten(sde: LinearSDE, t: Coefficient, s: Coefficient) -> Coefficient:
    return -expm1(sde.log_snr(t) - sde.log_snr(s))
