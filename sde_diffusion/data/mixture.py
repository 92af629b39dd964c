r"""Mixtures of Gaussians with one standard deviation: p(x) = sum_k w_k N(x; m_k, s^2 I), every part in closed form."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sde_diffusion.data.law import Law, normal, uniform


@dataclass(frozen=True, kw_only=True)
class Mixture(Law):
    """An isotropic mixture; a concrete one says where its modes lie and how heavy they are.

    `std` is the standard deviation s of a mode in each coordinate, in (0, 1): the rest of the unit variance lies
    between the modes.
    """

    std: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.std < 1:
            raise ValueError(f"std is the width of one mode of a law of unit variance, in (0, 1), got {self.std}")

    @property
    @abstractmethod
    def means(self) -> Tensor:
        """The modes m_k, float64 (K, 2)."""

    @property
    @abstractmethod
    def weights(self) -> Tensor:
        """Their probabilities w_k, float64 (K,), of sum 1."""

    def sample(self, n: int, generator: Generator) -> Tensor:
        """n independent points, float32 (n, 2)."""
        edges = self.weights.cumsum(0)[:-1].to(generator.device)
        modes = torch.bucketize(uniform((n,), generator).double(), edges, right=True)
        centres = self.means.to(generator.device)[modes]
        return centres.float() + self.std * normal((n, 2), generator)

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x) in nats for x (N, 2); shape (N,), in x's dtype."""
        squares = torch.cdist(x, self.means.to(x), compute_mode="donot_use_mm_for_euclid_dist") ** 2
        parts = self.weights.to(x).log() - squares / (2 * self.std**2)
        return torch.logsumexp(parts, dim=-1) - math.log(2 * math.pi * self.std**2)
