"""Picture files that stay on the disk: each is read, cropped and resized when it is asked for."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sde_diffusion.data.base import DataSource, Rows, check_indices
from sde_diffusion.data.pixels import from_levels

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""The formats of pictures that are read, by PIL's names."""


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


def read_picture(path: str | Path, mode: str = "RGB") -> Image:
    """A picture file as a PIL image of that mode, all of it in memory.

    Raises ValueError, in a sentence with the file's name, for whatever cannot be read: damage, another format, a picture
    larger than PIL's limit, a pipe, a folder. The format is found by the content and is one of `FORMATS`: PIL has readers
    of other ones, one of which starts a program.
    """
    from PIL import Image as reader

    try:
        if not Path(path).is_file():
            raise ValueError("it is no file")
        with reader.open(path, formats=FORMATS) as opened:
            return opened.convert(mode)
    except Exception as error:  # what PIL's readers raise for damage is of any kind
        words = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{str(path)!r} cannot be read as a picture ({words}); remove or replace it") from error


def read_square(path: str | Path, side: int, crop: int | None = None) -> Tensor:
    """The centred square of a picture file, uint8 (3, side, side); a ValueError names a file that is no picture.

    `crop` is the width of the square in pixels of the file; None takes the shorter side. A square that reaches beyond
    the picture is filled with black.
    """
    from torchvision.transforms.functional import center_crop, pil_to_tensor, resize

    picture: Any = read_picture(path)
    square = center_crop(picture, [crop or min(picture.size)] * 2)
    return pil_to_tensor(resize(square, [side, side]))
