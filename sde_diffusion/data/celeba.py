"""CelebA: portraits of celebrities, aligned and cropped, with forty yes-or-no attributes.

References:
    Liu, Luo, Wang & Tang, Deep Learning Face Attributes in the Wild, 2015, https://arxiv.org/abs/1411.7766
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from torch import Tensor

from sde_diffusion.data.archive import absolute, reading
from sde_diffusion.data.base import check_split
from sde_diffusion.data.picture_files import PictureFiles
from sde_diffusion.data.picture_fit import centred, resized, to_tensor
from sde_diffusion.data.pictures import Place, read_picture


@dataclass(frozen=True)
class CelebA(PictureFiles):
    """162,770 + 19,962 portraits (3, side, side), in root/celeba; training and test parts of the published partition.

    The centred `crop` x `crop` pixels of the 218 x 178 portrait, resized to `side`. The label is one attribute, 0 or 1.
    """

    root: str
    download: bool = False
    side: int = 64
    crop: int = 140
    attribute: str = "Smiling"

    name = "celeba"
    classes = 2

    def __post_init__(self) -> None:
        if self.side < 1 or not 1 <= self.crop <= 178:
            raise ValueError(f"side is at least 1 and crop from 1 to 178 pixels, got {self.side} and {self.crop}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (3, self.side, self.side)

    def files(self, split: str) -> tuple[list[Path], Tensor]:
        """Paths and labels (N,) int64 of a split."""
        return self._index[check_split(split)]

    def picture(self, path: str | Place) -> Tensor:
        """One picture, uint8 (3, side, side)."""
        return to_tensor(resized(centred(read_picture(path), (self.crop, self.crop)), (self.side, self.side)))

    def reading(self) -> dict[str, Any]:
        """The pixels of the file and the attribute that is the label."""
        return {"crop": self.crop, "attribute": self.attribute}

    @cached_property
    def _index(self) -> dict[str, tuple[list[Path], Tensor]]:
        return {split: self._listed(part) for split, part in (("train", "train"), ("held_out", "test"))}

    def _listed(self, part: str) -> tuple[list[Path], Tensor]:
        from torchvision.datasets import CelebA as Reader

        with reading("CelebA", self.root, self.download):
            data: Any = Reader(absolute(self.root), split=part, download=self.download)
        if self.attribute not in data.attr_names:
            known = ", ".join(name for name in data.attr_names if name)
            raise ValueError(f"an attribute of CelebA is one of {known}, got {self.attribute!r}")
        folder = Path(absolute(self.root)) / data.base_folder / "img_align_celeba"
        return [folder / name for name in data.filename], data.attr[:, data.attr_names.index(self.attribute)]
