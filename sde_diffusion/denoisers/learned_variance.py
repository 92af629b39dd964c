r"""A denoiser that also learns the variance of each reverse step, between the two natural choices.

The variance is e^rho v with v the posterior's; rho = w log(sigma_t^2/sigma_s^2), 0 <= w <= 1, reaches from beta_tilde to beta
of DDPM's chain. The share w is a sigmoid of a second network's output.

References:
    Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672, section 3.1
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.kernel import Kernel
from sde_diffusion.sde.base import LinearSDE


class LearnedVariance(Denoiser):
    """A preconditioned denoiser for the mean, and `spread`, any backbone, for the shares w (B, *E)."""

    def __init__(self, mean: Preconditioned, spread: nn.Module) -> None:
        super().__init__()
        self.mean, self.spread = mean, spread

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """E[x_0 | x_t] of the mean."""
        return self.mean(x_t, kernel, **condition)

    def log_excess(self, sde: LinearSDE, x_t: Tensor, t, s) -> Tensor:
        """rho (B, *E) of the step from t to s: floats, or float64 (B,)."""
        kernel, meaning = sde.kernel(t), self.mean.parameterization
        share = self.spread(meaning.precondition(x_t, kernel), meaning.level(x_t, kernel)).sigmoid()
        widest = 2 * (torch.as_tensor(sde.sigma(t)).log() - torch.as_tensor(sde.sigma(s)).log())
        return share * widest.to(x_t).reshape(-1, *(1,) * (x_t.ndim - 1))
