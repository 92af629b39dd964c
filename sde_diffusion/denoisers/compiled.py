"""A denoiser under `torch.compile`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from solvers.elementwise import constant


class Compiled(Denoiser):
    """Another denoiser under `torch.compile`, compiled once for all levels.

    A sampler's levels are Python floats, and a compiler takes each new float for a new program. Here they become float64
    tensors of shape () on the state's device. A `Preconditioned` whose backbone alone is compiled needs none of this.
    """

    def __init__(self, denoiser: Denoiser, **options: Any):
        """The options are those of `torch.compile`."""
        super().__init__()
        self.original, self.options = [denoiser], options
        self.denoiser = torch.compile(denoiser, **options)

    def select(self, rows: Tensor) -> Compiled:
        """The same for some of the samples. Compiled anew where the denoiser has rows: better wrap this in `Conditioned`."""
        chosen = self.original[0].select(rows)
        return self if chosen is self.original[0] else Compiled(chosen, **self.options)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The denoiser's answer."""
        level = Kernel(*(constant(c, torch.float64, x_t.device) for c in (kernel.alpha, kernel.sigma)))
        return self.denoiser(x_t, level, **condition)
