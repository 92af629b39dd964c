r"""Twice as many steps, again and again, for those points of a batch whose answer still moves.

A point is solved on a grid and on one twice as fine. The root mean square of the difference over its columns, over 4, is
taken for the finer one's error: a solver of order three leaves a seventh of the difference, and points where it has not
yet found its order want some caution.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.4 (step doubling)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

COARSEST, FINEST = 16, 2048
"""Steps of the first grid, and of the last that is tried."""
CAUTION = 4.0

OnGrid = Callable[[Tensor, int], Tensor]
"""(rows int64 (R,), steps) -> the answers of these rows of the batch on a grid of so many steps, (R, columns)."""


@dataclass(frozen=True)
class Refined:
    """For each point: its answers (B, columns) on its finest grid, their error (B,), its steps (B,), and all it took (B,)."""

    columns: Tensor
    error: Tensor
    steps: Tensor
    total: Tensor


def refine(answer: OnGrid, count: int, share: float, device: torch.device | None = None) -> Refined:
    """Solve `count` points until each one's error is at most `share`, or its grid has `FINEST` steps."""
    rows, steps = torch.arange(count, device=device), COARSEST
    columns = answer(rows, steps)
    taken, total = torch.full_like(rows, steps), torch.full_like(rows, steps)
    error = torch.full_like(columns[:, 0], math.inf)
    while len(rows) and steps < FINEST:
        steps *= 2
        finer = answer(rows, steps)
        error[rows] = (finer - columns[rows]).square().mean(1).sqrt() / CAUTION
        columns[rows], taken[rows] = finer, steps
        total[rows] += steps
        rows = rows[~(error[rows] <= share)]
    return Refined(columns, error, taken, total)
