"""Square colour patches of the two photographs that come with scikit-learn: images of any small size, no download.

Training patches come from the left four fifths of a photograph and held-out ones from the rest, so that they share no
pixel. Patch i is a function of (seed, split, i) only, not of how many are taken.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.data.base import SPLITS, DataSource, Rows, check_indices, check_split
from sde_diffusion.data.order import random_words
from sde_diffusion.data.pixels import from_levels

BORDER = 0.8


@dataclass(frozen=True)
class Patches(DataSource):
    """`count` patches a split, (3, side, side), side at most 128; the label is the photograph, 0 china or 1 flower."""

    side: int = 32
    count: int = 10_000
    seed: int = 0

    levels = 256
    classes = 2

    def __post_init__(self) -> None:
        if not 1 <= self.side <= 128:
            raise ValueError(f"a patch is 1 to 128 pixels wide, got {self.side}")
        if self.count < 1:
            raise ValueError(f"count is the number of patches, at least 1, got {self.count}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (3, self.side, self.side)

    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""
        check_split(split)
        return self.count

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices`."""
        rows = check_indices(indices, self.count)
        corners = self.corners(split)[rows]
        which, top, left = corners.unbind(1)
        windows = self._photographs.unfold(2, self.side, 1).unfold(3, self.side, 1)
        return from_levels(windows[which, :, top, left]), which

    def corners(self, split: str = "train") -> Tensor:
        """(photograph, top, left) of each patch, int64 (count, 3)."""
        words = random_words(self.seed, SPLITS.index(check_split(split)), 3 * self.count).reshape(-1, 3)
        height, width = self._photographs.shape[2:]
        first, stop = (0, int(BORDER * width)) if split == "train" else (int(BORDER * width), width)
        choices = torch.tensor([2, height - self.side + 1, stop - first - self.side + 1])
        return words.remainder(choices) + torch.tensor([0, 0, first])

    @cached_property
    def _photographs(self) -> Tensor:
        """Both photographs, uint8 (2, 3, 427, 640)."""
        from sklearn.datasets import load_sample_image

        photographs = np.stack([load_sample_image(f"{name}.jpg") for name in ("china", "flower")])
        return torch.from_numpy(photographs).movedim(-1, 1)
