r"""Classifier-free guidance whose weight grows as the noise falls, so that it draws closer to p(x) p(c | x)^(w - 1).

The wanted law is p(x | c) p(c | x)^(w - 1), the conditional law for w = 1. At high noise the extrapolated score of
`ClassifierFree` is far from that of the noised law: it shifts the weights of the modes, and no number of steps removes
this. Here the weight is that of the conditional model at high noise and w at low noise,

    w(level) = 1 + (w - 1) min(1, max(0, log(start / level) / log(start / end))).                                   (1)

References:
    Bradley & Nakkiran, Classifier-Free Guidance is a Predictor-Corrector, 2024, https://arxiv.org/abs/2408.09000
    Wang et al., Analysis of Classifier-Free Guidance Weight Schedulers, 2024, https://arxiv.org/abs/2404.13040
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.guidance.base import Guidance, Null, both, check_range, level_of
from sde_diffusion.kernel import Kernel
from solvers.elementwise import axpy


class Ramped(Guidance):
    """D_u + w(level) (D_c - D_u) with the weight of equation (1).

    Args:
        denoiser: takes the condition as keyword arguments, and its null.
        weight: w below the level `end`; 1 is the conditional model, bit for bit.
        start, end: noise levels sigma/alpha in the model's coordinates, where data have deviation 1: guided from `start` on
            down, with the full weight below `end`.
        null: what stands for no condition, see `guidance.base.null_of`.

    Raises ValueError unless 0 < end < start; at a call for one without a condition.
    """

    name = "ramped_cfg"

    def __init__(
        self, denoiser: Denoiser, weight: float, start: float = 3.0, end: float = 0.3, null: Null = None
    ) -> None:
        super().__init__(denoiser)
        check_range("(end, start)", end, start)
        if end == 0:
            raise ValueError("end is a noise level above 0, got 0; 0.3 is usual")
        self.weight, self.start, self.end, self.null = weight, start, end, null

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The guided estimate of the data, shape (B, *E)."""
        level = level_of(kernel)
        if self.weight == 1 or (not isinstance(level, Tensor) and level >= self.start):
            return self.denoiser(x_t, kernel, **condition)
        wanted, unwanted = both(self.denoiser, x_t, kernel, condition, self.null)
        return axpy(unwanted, self.weight_at(level), wanted - unwanted)

    def weight_at(self, level: float | Tensor) -> float | Tensor:
        """Equation (1)."""
        share = torch.log(self.start / torch.as_tensor(level, dtype=torch.float64)) / math.log(self.start / self.end)
        weight = 1 + (self.weight - 1) * share.clamp(0, 1)
        return weight if isinstance(level, Tensor) else weight.item()

    def _of(self, denoiser: Denoiser) -> Ramped:
        return Ramped(denoiser, self.weight, self.start, self.end, self.null)
