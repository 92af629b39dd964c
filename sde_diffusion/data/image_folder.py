"""Your own pictures: a folder with one sub-folder for each class."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.archive import reading
from sde_diffusion.data.base import check_split
from sde_diffusion.data.order import permutation
from sde_diffusion.data.pictures import PictureFiles, read_square


@dataclass(frozen=True)
class ImageFolder(PictureFiles):
    """Pictures root/CLASS/*.png (jpg, webp ...), (3, side, side): the largest centred square, resized.

    A share `held_out` in (0, 1) of the files, picked by `seed` and at least one, is kept from training. Classes are
    numbered in the alphabetical order of the sub-folders.
    """

    root: str
    side: int = 64
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.side < 1 or not 0 < self.held_out < 1:
            raise ValueError(f"side is at least 1 and held_out a share in (0, 1), got {self.side} and {self.held_out}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (3, self.side, self.side)

    @property
    def classes(self) -> int:
        """The number of labels."""
        return len(self._folder.classes)

    def files(self, split: str) -> tuple[list[str], Tensor]:
        """Paths and labels (N,) int64 of a split."""
        return self._index[check_split(split)]

    def picture(self, path: Any) -> Tensor:
        """One picture, uint8 (3, side, side)."""
        return read_square(path, self.side)

    @cached_property
    def _index(self) -> dict[str, tuple[list[str], Tensor]]:
        n = len(self._folder.samples)
        if n < 2:
            raise ValueError(f"{self.root!r} holds {n} picture; give at least 2, one to train on and one to hold out")
        kept = min(max(1, round(self.held_out * n)), n - 1)
        order = permutation(self.seed, 0, n).tolist()
        return {"train": self._listed(order[kept:]), "held_out": self._listed(order[:kept])}

    def _listed(self, rows: list[int]) -> tuple[list[str], Tensor]:
        paths, labels = zip(*(self._folder.samples[row] for row in rows), strict=True)
        return list(paths), torch.tensor(labels)

    @cached_property
    def _folder(self) -> Any:
        from torchvision.datasets import ImageFolder as Reader

        with reading("a folder of pictures", self.root):
            return Reader(self.root)
