r"""DDPM's simple loss with learned variances: L_simple for the mean, a little L_vlb for the variances.

With delta^2 = (e^{l_s} - e^{l_t}) (D - x_0)^2, coordinate by coordinate, and rho the log-ratio of the model's variance to
the posterior's,

    |eps_hat - eps|^2 + weight T KL,   KL = (rho + (1 + delta^2) e^-rho - 1)/2,                                    (1)

where the second term sends no gradient to the mean.

References:
    Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672, equation (16)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import call_unwritten
from sde_diffusion.denoisers.learned_variance import LearnedVariance
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import stratified
from sde_diffusion.objectives.variational import pick_steps, times_at
from sde_diffusion.sde.base import LinearSDE
from solvers.elementwise import along


@dataclass(frozen=True)
class Hybrid:
    """Equation (1) by the mean over dimensions, for a `LearnedVariance`, on a grid of equal steps of log-SNR."""

    steps: int = 1000
    weight: float = 1e-3

    def __call__(
        self,
        denoiser: LearnedVariance,
        sde: LinearSDE,
        x0: Tensor,
        generator: torch.Generator | None = None,
        **condition,
    ) -> Losses:
        """The loss of each sample, (B,), from data x0 (B, *E). Raises TypeError for a denoiser of fixed variance."""
        if not hasattr(denoiser, "log_excess"):
            raise TypeError(f"this loss trains a LearnedVariance, got {type(denoiser).__name__}; wrap it in one")
        upper, lower = pick_steps(sde, self.steps, stratified(x0, generator))
        t, s = times_at(sde, lower), times_at(sde, upper)
        kernel = sde.kernel(t)
        x_t = kernel.perturb(x0, torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype))
        square = (call_unwritten(denoiser, x_t, kernel, **condition) - x0).square()
        delta = along(upper.exp() - lower.exp(), x0) * square.detach()
        rho = denoiser.log_excess(sde, x_t, t, s)
        divergence = 0.5 * (rho + (1 + delta) * torch.exp(-rho) - 1)
        return (along(lower.exp(), x0) * square + self.weight * self.steps * divergence).flatten(1).mean(1)
