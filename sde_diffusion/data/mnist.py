"""MNIST and the data sets made in its image: 28 x 28 grey pictures in gzipped idx files.

References:
    LeCun, Bottou, Bengio & Haffner, Gradient-Based Learning Applied to Document Recognition, 1998,
        https://doi.org/10.1109/5.726791
    Xiao, Rasul & Vollgraf, Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747
    Cohen, Afshar, Tapson & van Schaik, EMNIST: an Extension of MNIST to Handwritten Letters, 2017,
        https://arxiv.org/abs/1702.05373
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import pad

from sde_diffusion.data.archive import reading
from sde_diffusion.data.memory import InMemory


@dataclass(frozen=True)
class _IdxImages(InMemory):
    """Pictures (1, side, side) in [-1, 1]: the 28 x 28 originals, with a black border when `side` is larger.

    `root` is the folder that holds, or with `download` will hold, torchvision's folder of this data set. An even `side`
    such as 32 suits networks that halve the picture.
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

    def bordered(self, pictures: Tensor) -> Tensor:
        """(N, 28, 28) -> (N, 1, side, side), black around."""
        return pad(pictures[:, None], (((self.side - 28) // 2),) * 4)


@dataclass(frozen=True)
class MNIST(_IdxImages):
    """60,000 + 10,000 handwritten digits, in root/MNIST/raw."""

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Values (N, *E) uint8 and labels (N,) int64 of a split."""
        from torchvision.datasets import MNIST as Reader

        with reading("MNIST", self.root, self.download):
            data = Reader(self.root, train=split == "train", download=self.download)
        return self.bordered(data.data), data.targets


@dataclass(frozen=True)
class FashionMNIST(_IdxImages):
    """60,000 + 10,000 pieces of clothing, in root/FashionMNIST/raw."""

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Values (N, *E) uint8 and labels (N,) int64 of a split."""
        from torchvision.datasets import FashionMNIST as Reader

        with reading("FashionMNIST", self.root, self.download):
            data = Reader(self.root, train=split == "train", download=self.download)
        return self.bordered(data.data), data.targets


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

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Values (N, *E) uint8 and labels (N,) int64 of a split."""
        from torchvision.datasets import EMNIST as Reader

        with reading("EMNIST", self.root, self.download):
            data = Reader(self.root, split=self.part, train=split == "train", download=self.download)
        return self.bordered(data.data.mT), data.targets - int(self.part == "letters")
