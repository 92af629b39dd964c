r"""The variational bound as a loss: nats of the diffusion term for each dimension.

    continuous   E_u[|dl/du| e^l |D(x_t) - x_0|^2/2],           t at the log-SNR l(u)                              (1)
    discrete     E_i[T (e^{l_s} - e^{l_t}) |D(x_t) - x_0|^2/2],  steps t -> s of a grid, i uniform on 1 .. T        (2)

(1) is the limit of (2), and does not depend on the schedule but for its variance. With the prior and the reconstruction,
which have nothing to learn, they bound -log p(x_0).

References:
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, equations (13), (17) and (18)
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, equation (12)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser, call_unwritten
from sde_diffusion.kernel import Kernel
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.level_schedule import Schedule, ends, linear_schedule
from sde_diffusion.objectives.uniforms import Uniforms, comb, stratified
from sde_diffusion.sde.base import LinearSDE


@dataclass(frozen=True)
class ContinuousBound:
    """Equation (1): VDM's loss, the times of a batch on a comb."""

    schedule: Schedule = linear_schedule
    draw: Uniforms = comb

    def __call__(
        self, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """Nats per dimension for data x0 (B, *E), shape (B,)."""
        log_snr, slope = self.schedule(sde, self.draw(x0, generator))
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        error = squared_error(denoiser, sde.kernel(times_at(sde, log_snr)), x0, noise, **condition)
        return 0.5 * (slope * log_snr.exp()).to(x0.dtype) * error


@dataclass(frozen=True)
class DiscreteBound:
    """Equation (2) on a grid of equal steps of log-SNR: DDPM's L_vlb without its constant terms."""

    steps: int = 1000

    def __call__(
        self, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """Nats per dimension for data x0 (B, *E), shape (B,)."""
        upper, lower = pick_steps(sde, self.steps, stratified(x0, generator))
        noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        error = squared_error(denoiser, sde.kernel(times_at(sde, lower)), x0, noise, **condition)
        return 0.5 * self.steps * (upper.exp() - lower.exp()).to(x0.dtype) * error


def pick_steps(sde: LinearSDE, steps: int, u: Tensor) -> tuple[Tensor, Tensor]:
    """(l_s, l_t), each (B,), of the steps t -> s that uniform numbers u (B,) choose among equal steps of l."""
    high, low = ends(sde)
    i = (u * steps).floor()
    return high + (low - high) * i / steps, high + (low - high) * (i + 1) / steps


def times_at(sde: LinearSDE, log_snr: Tensor) -> Tensor:
    """The times of log-SNRs (B,), within the process's range."""
    return torch.as_tensor(sde.time(log_snr)).clamp(sde.t_min, sde.horizon)


def squared_error(denoiser: Denoiser, kernel: Kernel, x0: Tensor, noise: Tensor, **condition) -> Tensor:
    """|D(x_t) - x_0|^2 over the number of dimensions, (B,)."""
    return (call_unwritten(denoiser, kernel.perturb(x0, noise), kernel, **condition) - x0).square().flatten(1).mean(1)
