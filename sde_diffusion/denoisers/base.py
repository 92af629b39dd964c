"""A denoiser depends only on the noise level (alpha, sigma), not on the SDE that produced it.

D(x; alpha, sigma) = E[x_0 | alpha x_0 + sigma eps = x] needs no SDE. Score, noise and velocity are views of it (see
`Kernel`), so every parameterisation, process and guidance meets here: a network trained under one process samples under
any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization


class Denoiser(nn.Module, ABC):
    """E[x_0 | x_t] for any Gaussian channel."""

    @abstractmethod
    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The conditional mean, shape (B, *E), of x_0 given x_t (B, *E) seen through the channel."""


class Preconditioned(Denoiser):
    """A backbone whose raw output means what a parameterisation says.

    The backbone is any `nn.Module` with forward(x, c_time, **condition) -> (B, *E), where c_time, of shape () or (B,),
    is the parameterisation's number for the noise level.
    """

    def __init__(self, backbone: nn.Module, parameterization: Parameterization):
        """Keep the network and the meaning of its output."""
        super().__init__()
        self.backbone = backbone
        self.parameterization = parameterization

    def raw(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """What the network says before it is decoded, shape (B, *E)."""
        return self.backbone(
            self.parameterization.precondition(x_t, kernel), self.parameterization.level(x_t, kernel), **condition
        )

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """Decode the network's answer."""
        return self.parameterization.to_denoised(self.raw(x_t, kernel, **condition), x_t, kernel)
