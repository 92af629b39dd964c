"""Two Gaussians of unequal weight, far apart: the test of getting the proportion of the modes right.

A score says nothing of the weight of a mode whose surroundings are empty, so a model must learn it at high noise
(Song & Ermon, Generative Modeling by Estimating Gradients of the Data Distribution, 2019,
https://arxiv.org/abs/1907.05600, section 3.2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.data.mixture import Mixture


@dataclass(frozen=True)
class TwoGaussians(Mixture):
    """w N(m_1, s^2 I) + (1 - w) N(m_2, s^2 I) with both means on the diagonal, `weight` w in (0, 1) and mean 0.

    With d = m_1 - m_2, each coordinate has variance w (1 - w) |d|^2 / 2 + s^2 = 1.
    """

    weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.weight < 1:
            raise ValueError(f"weight is the probability of the first mode, in (0, 1), got {self.weight}")

    @property
    def means(self) -> Tensor:
        """The modes, float64 (K, 2)."""
        step = math.sqrt((1 - self.std**2) / (self.weight * (1 - self.weight)))
        along_diagonal = torch.tensor([(1 - self.weight) * step, -self.weight * step], dtype=torch.float64)
        return along_diagonal[:, None].expand(2, 2).clone()

    @property
    def weights(self) -> Tensor:
        """Their probabilities, float64 (K,)."""
        return torch.tensor([self.weight, 1 - self.weight], dtype=torch.float64)
