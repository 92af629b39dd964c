"""MNIST and the data sets made in its image: 28 x 28 grey pictures in gzipped idx files.

References:
    LeCun, Bottou, Bengio & Haffner, Gradient-Based Learning Applied to Document Recognition, 1998,
        https://doi.org/10.1109/5.726791
    Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747
    Cohen, Afshar, Tapson & van Schaik, EMNIST: an Extension of MNIST to Handwritten Letters, 2017,
        https://arxiv.org/abs/1702.05373
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import pad

from sde_diffusion.data.archive import absolute, reading
from sde_diffusion.data.idx import read_idx
from sde_diffusion.data.memory import InMemory


@dataclass(frozen=True)
class _IdxImages(InMemory):
    """Pictures (1, side, side) in [-1, 1]: the 28 x 28 originals, with a black border when `side` is larger.

    `root` is the folder that holds, or with `download` will hold, torchvision's folder of this data set; its files may be
    gzipped. An even `side` such as 32 suits networks that halve the picture.
    """

    root: str
    download: bool = False
    side: int = 28

    classes = 10

    def __post_init__(self) -> None:
        if self.side < 28 or self.side % 2:
            raise ValueError(f"side is an even number of pixels, at least 28, got {self.side}")

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (1, self.side, self.side)

    @abstractmethod
    def parts(self) -> dict[str, str]:
        """How the names of each split's files begin."""

    @abstractmethod
    def download_files(self, root: str) -> None:
        """Fetch the files by torchvision, which compares their md5 sums with the published ones."""

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Values (N, *E) uint8 and labels (N,) int64 of a split."""
        name, root = type(self).__name__, absolute(self.root)
        with reading(name, self.root, self.download):
            if self.download:
                self.download_files(root)
            start = Path(root, name, "raw", self.parts()[split])
            images = read_idx(start.with_name(f"{start.name}-images-idx3-ubyte"), (28, 28))
            labels = read_idx(start.with_name(f"{start.name}-labels-idx1-ubyte"), ())
            return self.bordered(self.upright(images)), self.checked(labels.long(), len(images))

    def upright(self, pictures: Tensor) -> Tensor:
        """The pictures (N, 28, 28) as the files hold them, upright."""
        return pictures

    def checked(self, labels: Tensor, count: int) -> Tensor:
        """The labels (N,); ValueError for another number of them, or one that is no class."""
        if len(labels) != count or (count and not 0 <= int(labels.min()) <= int(labels.max()) < (self.classes or 0)):
            raise ValueError(
                f"{len(labels)} labels up to {int(labels.max()) if len(labels) else None} for {count} pictures of "
                f"{self.classes} classes"
            )
        return labels

    def bordered(self, pictures: Tensor) -> Tensor:
        """(N, 28, 28) -> (N, 1, side, side), black around."""
        return pad(pictures[:, None], (((self.side - 28) // 2),) * 4)


@dataclass(frozen=True)
class MNIST(_IdxImages):
    """60,000 + 10,000 handwritten digits, in root/MNIST/raw."""

    def parts(self) -> dict[str, str]:
        """How the names of each split's files begin."""
        return {"train": "train", "held_out": "t10k"}

    def download_files(self, root: str) -> None:
        """Fetch the files by torchvision."""
        from torchvision.datasets import MNIST as Reader

        Reader(root, download=True)


@dataclass(frozen=True)
class FashionMNIST(_IdxImages):
    """60,000 + 10,000 pieces of clothing, in root/FashionMNIST/raw."""

    def parts(self) -> dict[str, str]:
        """How the names of each split's files begin."""
        return {"train": "train", "held_out": "t10k"}

    def download_files(self, root: str) -> None:
        """Fetch the files by torchvision."""
        from torchvision.datasets import FashionMNIST as Reader

        Reader(root, download=True)


PARTS = {"byclass": 62, "bymerge": 47, "balanced": 47, "letters": 26, "digits": 10, "mnist": 10}


@dataclass(frozen=True)
class EMNIST(_IdxImages):
    """Handwritten letters and digits, in root/EMNIST/raw; `part` is one of the six parts of EMNIST.

    The files hold each picture transposed; here they stand upright. The labels of "letters" start at 0.
    """

    part: str = "balanced"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.part not in PARTS:
            raise ValueError(f"a part of EMNIST is one of {', '.join(PARTS)}, got {self.part!r}")

    @property
    def classes(self) -> int:
        """The number of labels."""
        return PARTS[self.part]

    def parts(self) -> dict[str, str]:
        """How the names of each split's files begin."""
        return {"train": f"emnist-{self.part}-train", "held_out": f"emnist-{self.part}-test"}

    def download_files(self, root: str) -> None:
        """Fetch the files by torchvision."""
        from torchvision.datasets import EMNIST as Reader

        Reader(root, split=self.part, download=True)

    def upright(self, pictures: Tensor) -> Tensor:
        """The pictures (N, 28, 28), transposed in the files, upright."""
        return pictures.mT

    def checked(self, labels: Tensor, count: int) -> Tensor:
        """The labels (N,), counted from 0."""
        return super().checked(labels - int(self.part == "letters"), count)
