"""Quantised data trained as continuous ones: fresh uniform noise of one level's width before any loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.objectives.kinds import Losses


@dataclass(frozen=True)
class Dequantised:
    """`objective` at x + width (u - 1/2), u uniform; `width` is the distance of the levels, 2/255 for bytes on [-1, 1].

    References:
        Theis, van den Oord & Bethge, A Note on the Evaluation of Generative Models, 2016, https://arxiv.org/abs/1511.01844
    """

    objective: Callable[..., Tensor] = field(default_factory=DenoisingScoreMatching)
    width: float = 2 / 255

    def __call__(
        self, denoiser: Any, sde: Any, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """The loss of each sample, (B,)."""
        u = torch.rand(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
        return self.objective(denoiser, sde, x0 + self.width * (u - 0.5), generator, **condition)
