"""CIFAR-10: small colour photographs of ten kinds of things.

References:
    Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009,
        https://www.cs.toronto.edu/~kriz/learning-features-2009-TR.pdf
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.data.archive import absolute, reading
from sde_diffusion.data.memory import InMemory


@dataclass(frozen=True)
class CIFAR10(InMemory):
    """50,000 + 10,000 photographs (3, 32, 32) in [-1, 1], whole and unscaled, in root/cifar-10-batches-py.

    The files are Python pickles; torchvision compares their md5 sums with the published ones before it opens them.
    """

    root: str
    download: bool = False

    classes = 10

    @property
    def event_shape(self) -> tuple[int, ...]:
        """The shape of one event."""
        return (3, 32, 32)

    def load(self, split: str) -> tuple[Tensor, Tensor]:
        """Values (N, *E) uint8 and labels (N,) int64 of a split."""
        from torchvision.datasets import CIFAR10 as Reader

        with reading("CIFAR-10", self.root, self.download):
            data = Reader(absolute(self.root), train=split == "train", download=self.download)
        return torch.from_numpy(data.data).movedim(-1, 1).contiguous(), torch.tensor(data.targets)
