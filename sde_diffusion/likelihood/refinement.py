r"""Twice as many steps, again and again, for those points of a batch whose answer still moves.

A point is solved on grids of n, 2n, 4n, ... steps. With d_1, d_2, ... the differences of one grid from the last (the root
mean square over its columns), the error of the finest one is taken to be

    max(d_k/4, d_{k-1}/32).                                                                                        (1)

A solver of order three leaves a seventh of d_k; the rest is caution for points where it has not yet found its order. The
second number guards against two coarse grids that agree by accident: no point is believed before its third grid.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.4 (step doubling)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

COARSEST, FINEST = 12, 3072
"""Steps of the first grid, and of the last that is tried."""
HOPE = 50
"""Steps above which an answer that is not finite is not tried on finer grids."""
CAUTION, GUARD = 4.0, 8.0

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
    """Solve `count` points until the error (1) of each is at most `share`, or its grid has `FINEST` steps.

    A point whose answers are NaN or infinite on two grids, the second of more than `HOPE` steps, is left at that.
    """
    rows, steps = torch.arange(count, device=device), COARSEST
    columns = answer(rows, steps)
    taken, total = torch.full_like(rows, steps), torch.full_like(rows, steps)
    error = torch.full_like(columns[:, 0], math.inf)
    before = error.clone()
    while len(rows) and steps < FINEST:
        steps *= 2
        finer = answer(rows, steps)
        step = (finer - columns[rows]).square().mean(1).sqrt() / CAUTION
        lost = ~(finer.isfinite() | columns[rows].isfinite()).all(1) & (steps > HOPE)
        error[rows], before[rows] = torch.maximum(step, before[rows] / GUARD), step
        columns[rows], taken[rows] = finer, steps
        total[rows] += steps
        rows = rows[~(error[rows] <= share) & ~lost]
    return Refined(columns, error, taken, total)
