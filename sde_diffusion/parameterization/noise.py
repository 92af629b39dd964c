"""The network predicts the noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization


@dataclass(frozen=True)
class Noise(Parameterization):
    """raw = eps_hat, x0_hat = (x_t - sigma raw)/alpha.

    References:
        Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239
    """

    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """The noise."""
        return noise

    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """(x_t - sigma raw)/alpha."""
        return kernel.data_from_noise(x_t, raw)
