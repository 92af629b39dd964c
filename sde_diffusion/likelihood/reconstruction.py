r"""The last factor of a chain's likelihood: log p(x_0 | x_{t_min}), with kappa = sigma/alpha at t_min.

    continuous data   N(x_0; D(x_{t_min}), kappa^2 I), which is the posterior up to a relative kappa^2 of its variance   (1)
    levels            independent coordinates, P(v) in proportion to exp(-(x_{t_min}/alpha - v)^2/(2 kappa^2))            (2)

(2) is the posterior of a coordinate under a flat law over its levels; once kappa is well below their distance it costs
nothing, and the bound is one of probabilities, not of densities.

References:
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, section 3.3 and equation (8)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.kernel import Kernel

Reconstruction = Callable[[Tensor, Tensor, Tensor, Kernel], Tensor]
"""(x_0 (B, *E), x_t (B, *E), D(x_t) (B, *E), the channel at t_min) -> log p(x_0 | x_t) in nats, (B,)."""


def gaussian(x0: Tensor, x_t: Tensor, data: Tensor, kernel: Kernel) -> Tensor:
    """Equation (1)."""
    z = ((x0 - data) / (kernel.sigma / kernel.alpha)).flatten(1)
    return -0.5 * z.square().sum(1) - z.shape[1] * math.log(kernel.sigma / kernel.alpha * math.sqrt(2 * math.pi))


@dataclass(frozen=True)
class Levels:
    """Equation (2) for `levels` equally spaced values from `low` to `high`."""

    levels: int = 256
    low: float = -1.0
    high: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError for fewer than two levels or an empty range."""
        if self.levels < 2 or not self.low < self.high:
            raise ValueError(
                f"levels are at least 2 from low to a higher value, got {self.levels} from {self.low} to {self.high}"
            )

    def __call__(self, x0: Tensor, x_t: Tensor, data: Tensor, kernel: Kernel) -> Tensor:
        """Equation (2), (B,)."""
        values = torch.linspace(self.low, self.high, self.levels, dtype=x_t.dtype, device=x_t.device)
        distance = (x_t / kernel.alpha)[..., None] - values
        logits = (-0.5 * (distance * (kernel.alpha / kernel.sigma)).square()).log_softmax(-1)
        place = ((x0 - self.low) * ((self.levels - 1) / (self.high - self.low))).round().long()
        return logits.gather(-1, place[..., None]).flatten(1).sum(1)
