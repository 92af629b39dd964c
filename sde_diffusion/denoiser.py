"""The hub: a denoiser knows the channel, not the road.

D(x; alpha, sigma) = E[x_0 | alpha x_0 + sigma eps = x] needs no SDE. Score, noise and velocity are views of it (see
`Kernel`), so every parameterisation, process and guidance meets here: a network trained under one process samples under
any other.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization
from solvers.elementwise import constant


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
            self.parameterization.encode(x_t, kernel), self.parameterization.level(x_t, kernel), **condition
        )

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """Decode the network's answer."""
        return self.parameterization.decode(self.raw(x_t, kernel, **condition), x_t, kernel)


class Compiled(Denoiser):
    """Another denoiser under `torch.compile`, compiled once for all levels.

    A sampler's levels are Python floats, and a compiler takes each new float for a new program. Here they become float64
    tensors of shape () on the state's device. A `Preconditioned` whose backbone alone is compiled needs none of this.
    """

    def __init__(self, denoiser: Denoiser, **options: Any):
        """The options are those of `torch.compile`."""
        super().__init__()
        self.denoiser = torch.compile(denoiser, **options)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The denoiser's answer."""
        level = Kernel(*(constant(c, torch.float64, x_t.device) for c in (kernel.alpha, kernel.sigma)))
        return self.denoiser(x_t, level, **condition)
