"""The network predicts the data."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization


@dataclass(frozen=True)
class Data(Parameterization):
    """raw = x0_hat.

    References:
        Salimans & Ho, Progressive Distillation for Fast Sampling of Diffusion Models, 2022,
            https://arxiv.org/abs/2202.00512, section 4
    """

    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """The data."""
        return x0

    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """The raw output."""
        return raw
