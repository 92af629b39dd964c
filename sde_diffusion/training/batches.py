"""The events of each step, drawn from tables that stay where they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.data.base import validate
from sde_diffusion.data.order import indices

NO_LABEL = -1


@dataclass(frozen=True)
class Batches:
    """Events (N, *E) and perhaps labels (N,), and the order in which `seed` shows them, `size` at a time.

    Each batch has `parts` equal parts, asked for one at a time. A part travels to `device`; tables that are there already, where they fit, travel no more. A share `label_dropout`
    of the labels is replaced by -1, "no label", so that the model learns both laws that classifier-free guidance needs.

    References:
        Ho & Salimans, Classifier-Free Diffusion Guidance, 2022, https://arxiv.org/abs/2207.12598, algorithm 1
    """

    data: Tensor
    labels: Tensor | None
    label_dropout: float
    seed: int
    size: int
    device: torch.device
    dtype: torch.dtype
    parts: int = 1

    def __post_init__(self):
        """Raises TypeError or ValueError for data that are not finite (N, *E) or labels that are not int (N,)."""
        validate(self.data)
        if not 0 <= self.label_dropout <= 1:
            raise ValueError(f"label_dropout is a share in [0, 1], got {self.label_dropout}; 0.1 is usual")
        if self.labels is not None:
            _check_labels(self.labels, len(self.data))

    def at(self, step: int, generator: torch.Generator, part: int = 0) -> tuple[Tensor, dict[str, Tensor]]:
        """Events (B, *E) of a part of a step and what the model is told of them: {} or {"label": int64 (B,)}."""
        rows = indices(self.seed, step, self.size, len(self.data), part, self.parts)
        events = _rows(self.data, rows).to(self.device, self.dtype, non_blocking=True)
        if self.labels is None:
            return events, {}
        labels = _rows(self.labels, rows).to(self.device, torch.int64, non_blocking=True)
        dropped = torch.rand(len(labels), generator=generator, device=self.device) < self.label_dropout
        return events, {"label": labels.masked_fill(dropped, NO_LABEL)}


def _rows(table: Tensor, rows: Tensor) -> Tensor:
    return table[rows.to(table.device, non_blocking=True)]


def _check_labels(labels: Tensor, count: int) -> None:
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.shape != (count,):
        kind = f"{labels.dtype} {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise ValueError(f"labels are integers of shape ({count},), one an event, got {kind}; drop or convert them")
