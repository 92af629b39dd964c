"""The 1797 handwritten digits of scikit-learn: the smallest images that need no download.

References:
    Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, 1998, https://doi.org/10.24432/C50P49
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.data.memory import InMemory
from sde_diffusion.data.order import permutation


@dataclass(frozen=True)
class Digits(InMemory):
    """8 x 8 grey digits, 17 levels, 10 classes; `held_out` of them, picked by `seed`, are kept from training."""

    held_out: int = 360
    seed: int = 0

    levels = 17
    classes = 10

    def __post_init__(self) -> None:
        if not 1 <= self.held_out < 1797:
            raise ValueError(f"held_out is a number of the 1797 digits, 1 to 1796, got {self.held_out}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (1, 8, 8)

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Values (N, *E) uint8 and labels (N,) int64 of a split."""
        from sklearn.datasets import load_digits

        images, labels = (torch.from_numpy(array) for array in load_digits(return_X_y=True))
        order = permutation(self.seed, 0, len(images))
        rows = order[: self.held_out] if split == "held_out" else order[self.held_out :]
        return images.reshape(-1, 1, 8, 8)[rows], labels[rows]
