r"""What a coupling is: a rule that makes pairs (x_0, x_1) of a batch of each of two laws.

A bridge or a flow trained on pairs has the right ends whatever the coupling, as long as the pairs have the right marginals;
the coupling decides how the ends are joined. It knows no interpolant, no loss and no network. Its cost is |x_0 - x_1|^2/2, and
its temperature eps that of `exact.entropic_plan` (POT's squared distance at reg = 2 eps).

References:
    Tong et al., Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal Transport, 2023,
        https://arxiv.org/abs/2302.00482
    Pooladian et al., Multisample Flow Matching: Straightening Flows with Minibatch Couplings, 2023,
        https://arxiv.org/abs/2304.14772
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pairs:
    """B pairs.

    Attributes:
        near, far: x_0 and x_1, each (B, *E).
        near_rows, far_rows: which rows of the batches they are, int64 (B,); None for points that the coupling made.
    """

    near: Tensor
    far: Tensor
    near_rows: Tensor | None = None
    far_rows: Tensor | None = None

    @classmethod
    def of_rows(cls, x0: Tensor, x1: Tensor, near_rows: Tensor, far_rows: Tensor) -> Pairs:
        """The pairs of these rows of the two batches."""
        return cls(x0[near_rows], x1[far_rows], near_rows, far_rows)


class Coupling(ABC):
    """Called with (x0, x1, generator) and, where samples of x0 have one, their `label` (B,)."""

    uses_label: bool = False
    """Whether pairs are made within labels: see `WithinLabels`."""
    keeps_label: bool = False
    """Whether x_1 stays independent of the label of x_0 without being given it, as independent pairs do."""

    @final
    def __call__(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Tensor | None = None) -> Pairs:
        """The pairs of x0 (B, *E) and x1 (M, *E).

        Raises TypeError or ValueError for batches that do not fit, and for a label that the coupling would ignore: x_1 would
        then depend on the label, and a conditional model start from the wrong law.
        """
        check_batches(x0, x1)
        if label is not None and not (self.uses_label or self.keeps_label):
            raise ValueError(
                f"{type(self).__name__} ignores labels, so that x_1 would depend on the label of x_0; write "
                f"WithinLabels({type(self).__name__}(...))"
            )
        return self.couple(x0, x1, generator, label)

    @abstractmethod
    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs, for batches that fit."""


def check_batches(x0: Any, x1: Any) -> None:
    """Raises TypeError or ValueError, in one sentence, unless these are two batches of events of one shape and dtype."""
    for x in (x0, x1):
        if not isinstance(x, Tensor) or not x.is_floating_point() or x.ndim < 1 or not len(x):
            kind = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
            raise TypeError(f"a coupling takes two batches (B, *E) of floating point, got {kind}; convert it first")
    if x0.shape[1:] != x1.shape[1:] or x0.dtype != x1.dtype or x0.device != x1.device:
        raise ValueError(
            "both batches have events of one shape, dtype and device, got "
            f"{tuple(x0.shape)} {x0.dtype} {x0.device} and {tuple(x1.shape)} {x1.dtype} {x1.device}; convert one of them"
        )
    for name, x in (("x0", x0), ("x1", x1)):
        if not bool(x.isfinite().all()):
            raise ValueError(f"{name} holds NaN or infinity; clean the data before they are coupled")


def same_size(coupling: Coupling, x0: Tensor, x1: Tensor) -> None:
    """Raises ValueError unless both batches have as many samples."""
    if len(x0) != len(x1):
        raise ValueError(
            f"{type(coupling).__name__} joins batches of one size, got {len(x0)} and {len(x1)}; draw as many of each"
        )
