"""Where sampling starts: a Gaussian of one scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class GaussianPrior:
    """N(mean, std^2 I). `mean` is a number or a tensor of the event shape *E; `std` a number."""

    mean: float | Tensor
    std: float

    def from_noise(self, noise: Tensor) -> Tensor:
        """mean + std noise: the sample for standard normal noise (B, *E)."""
        return self._mean(noise) + self.std * noise

    def log_prob(self, x: Tensor) -> Tensor:
        """The log-density in nats, shape (B,), of x (B, *E)."""
        z = ((x - self._mean(x)) / self.std).flatten(1)
        return -0.5 * z.square().sum(1) - z.shape[1] * math.log(self.std * math.sqrt(2 * math.pi))

    def _mean(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.mean, dtype=x.dtype, device=x.device)
