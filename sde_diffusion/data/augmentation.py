"""Random changes of training samples, as functions of a key for each sample: no generator, and resuming changes no bit.

The key is a function of (seed, step, number of the row), see `training.batches`. A change that moves the distribution says
what it did, in numbers that the network is given as the condition `augment_labels`; sampling leaves them out, which stands
for "nothing was done". So the model does not learn to make changed samples.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from solvers.random import counters, words


class Augmentation(ABC):
    """Changes samples at random: another one is a frozen dataclass, whose fields are part of a run's fingerprint.

    `labels` is how many numbers say what was done to a sample; 0 for changes that the network need not know.
    """

    labels: ClassVar[int] = 0

    @abstractmethod
    def __call__(self, x: Tensor, keys: Tensor) -> tuple[Tensor, Tensor | None]:
        """Samples (B, *E) changed, each as a function of itself and its key, int64 (B,) on the CPU; and what was done.

        That is (B, labels) in x's dtype, zero for what was left as it is; None without labels.
        """


@dataclass(frozen=True)
class Unchanged(Augmentation):
    """No change."""

    name = "none"

    def __call__(self, x: Tensor, keys: Tensor) -> tuple[Tensor, None]:
        """x itself."""
        return x, None


@dataclass(frozen=True)
class Flips(Augmentation):
    """Mirrors a share of the samples left to right: along their last axis, for pictures (C, H, W) or signals (C, L).

    The network need not know: a model of mirrored and other pictures alike is what is wanted.
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        """Raises ValueError for a share outside [0, 1]."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is that of the mirrored samples, in [0, 1], got {self.share}; 0.5 is usual")

    def __call__(self, x: Tensor, keys: Tensor) -> tuple[Tensor, None]:
        """Samples (B, C, *space). Raises ValueError for vectors (B, D), whose columns have no left and right."""
        if x.ndim < 3:
            raise ValueError(
                f"samples that are mirrored have shape (C, *space), got {tuple(x.shape[1:])}; leave it out"
            )
        flipped = (uniforms(keys, 1)[:, 0] < self.share).to(x.device)
        return torch.where(like_rows(flipped, x), x.flip(-1), x), None


def uniforms(keys: Tensor, count: int) -> Tensor:
    """`count` numbers uniform in [0, 1) for each key, float64 (B, count): the upper 53 bits of its words."""
    drawn = words(keys[:, None], counters(2 * count, keys.device))
    return (drawn >> 11 & 2**53 - 1).double() * 2.0**-53


def like_rows(mask: Tensor, x: Tensor) -> Tensor:
    """A mask (B,) that broadcasts over samples x (B, *E)."""
    return mask.reshape(-1, *(1,) * (x.ndim - 1))


def check_network(denoiser: nn.Module, augment: Augmentation | None) -> None:
    """Raises ValueError unless the network is made for the numbers that an augmentation gives it, by its `augment`."""
    wanted = 0 if augment is None else augment.labels
    found = getattr(getattr(denoiser, "backbone", denoiser), "augment", 0)
    if isinstance(found, int) and wanted != found:
        kind = "training without augmentation" if augment is None else type(augment).__name__
        raise ValueError(
            f"{kind} gives the network {wanted} numbers as augment_labels, and this one takes {found}; make a U-Net or a "
            f"DiT with augment={wanted}"
        )
