"""Picture files that stay on the disk: each is read, cropped and resized when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.data.base import DataSource, Rows, check_indices
from sde_diffusion.data.pixels import from_levels


class PictureFiles(DataSource):
    """A source of picture files, colour, (3, side, side) in [-1, 1].

    A picture is cropped to the largest centred square (or to `crop` pixels, where the concrete source says so) and
    resized by PIL's antialiased bilinear filter, all in 8 bits: the result has 256 levels like the file.
    """

    levels: int = 256

    @abstractmethod
    def files(self, split: str) -> tuple[Sequence[str | Path], Tensor]:
        """The split's paths, N of them, in a fixed order, and labels (N,) int64."""

    @abstractmethod
    def picture(self, path: str | Path) -> Tensor:
        """One picture, uint8 (3, side, side)."""

    def size(self, split: str = "train") -> int:
        """How many samples the split holds."""
        return len(self.files(split)[0])

    def batch(self, indices: Tensor, split: str = "train") -> Rows:
        """Samples (B, *E) and labels (B,) or None at `indices`."""
        paths, labels = self.files(split)
        rows = check_indices(indices, len(paths))
        pictures = [self.picture(paths[row]) for row in rows.tolist()]
        empty = torch.empty(0, *self.event_shape, dtype=torch.uint8)
        return from_levels(torch.stack(pictures) if pictures else empty), labels[rows]


def read_square(path: str | Path, side: int, crop: int | None = None) -> Tensor:
    """The centred square of a picture file, uint8 (3, side, side); a ValueError names a file that is no picture.

    `crop` is the width of the square in pixels of the file; None takes the shorter side. A square that reaches beyond
    the picture is filled with black.
    """
    from torchvision.datasets.folder import pil_loader
    from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

    try:
        picture: Any = pil_loader(str(path))
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read as a picture ({error}); remove or replace it") from error
    square = center_crop(picture, [crop or min(picture.size)] * 2)
    return pil_to_tensor(resize(square, [side, side]))
