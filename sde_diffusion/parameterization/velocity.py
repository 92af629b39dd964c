"""The network predicts v, the velocity of the circle from data to noise."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization
from solvers.elementwise import combine


@dataclass(frozen=True)
class Velocity(Parameterization):
    """raw = v = (alpha eps - sigma x_0)/sqrt(alpha^2 + sigma^2): v-prediction. Neither end is
    singular. The velocity of rectified flow and flow matching is `Flow`.

    References:
        Salimans & Ho, Progressive Distillation for Fast Sampling of Diffusion Models, 2022,
            https://arxiv.org/abs/2202.00512, appendix D
    """

    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """v."""
        r = kernel.scale
        return combine(kernel.alpha / r, noise, -kernel.sigma / r, x0)

    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """(alpha x_t - sigma r raw)/r^2."""
        return kernel.data_from_velocity(x_t, raw)
