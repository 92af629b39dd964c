"""The network predicts the velocity of flow matching."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization


@dataclass(frozen=True)
class Flow(Parameterization):
    """raw = u = eps - x_0, the velocity of the straight line x_t = (1 - t) x_0 + t eps; v-prediction is `Velocity`.

    References:
        Liu et al., Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003, equation (1)
        Lipman et al., Flow Matching for Generative Modeling, 2022, https://arxiv.org/abs/2210.02747, equation (23)
    """

    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """The noise less the data."""
        return noise - x0

    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """(x_t - sigma raw)/(alpha + sigma)."""
        return kernel.data_from_flow(x_t, raw)
