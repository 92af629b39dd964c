r"""Twice as many steps, again and again, for those points of a batch whose answer still moves.

A point is solved on grids of n, 2n, 4n, ... steps. On the first one the same evaluations are summed by the trapezoidal rule
as well; with d_1 the difference of the two answers (the root mean square over its columns), the error is taken to be

    sqrt(d_1^2 + floor^2).                                                                                         (1)

The floor is what such a grid leaves anywhere: no point is believed to be better known. On a later grid, with d_k the
difference from the grid before, the error is

    max(CAUTION size^(1/6) d_k, e_{k-1}/GUARD),                                                                    (2)

where the second number guards against two grids that agree by accident; in more dimensions a smaller part of the points
is much better than d_k. The constants are those with which 95% intervals
of 1.96 times the error held about 97% of the exact answers, on 300 mixtures in 2 to 64 dimensions behind VP and EDM
(benchmarks/likelihood_coverage.py measures them on others).

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, sections II.4 (embedded formulas, step doubling)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

COARSEST, FINEST = 10, 2560
"""Steps of the first grid, and of the last that is tried."""
HOPE = 50
"""Steps above which an answer that is not finite is not tried on finer grids."""
FLOOR = 0.015
"""Of (1), in nats for each number of an event."""
CAUTION, GUARD = 0.15, 1000.0
"""Of (2)."""
FAMILY, LATE = 40, 0.5
"""Grids of more than FAMILY steps are halvings of one family; from there on LATE stands for CAUTION size^(1/6): the order
has come down to that of the first steps."""


@dataclass(frozen=True)
class Solved:
    """Answers on one grid: columns (R, columns), the same by the trapezoidal rule, and where the points ended (R, *E)."""

    columns: Tensor
    coarse: Tensor
    end: Tensor


OnGrid = Callable[[Tensor, int], Solved]
"""(rows int64 (R,), steps) -> the answers of these rows of the batch on a grid of so many steps."""


@dataclass(frozen=True)
class Refined:
    """For each point: its answers (B, columns) and end (B, *E) on its finest grid, their error (B,), its steps (B,), and all
    it took (B,)."""

    columns: Tensor
    end: Tensor
    error: Tensor
    steps: Tensor
    total: Tensor


def refine(answer: OnGrid, count: int, share: float, device: torch.device | None = None) -> Refined:
    """Solve `count` points until the error (1) or (2) of each is at most `share`, or its grid has `FINEST` steps.

    A point whose answers are NaN or infinite on two grids, the second of more than `HOPE` steps, is left at that.
    """
    rows, steps = torch.arange(count, device=device), COARSEST
    first = answer(rows, steps)
    columns, end = first.columns, first.end
    taken, total = torch.full_like(rows, steps), torch.full_like(rows, steps)
    size = end[0].numel()
    error = torch.hypot(_distance(columns, first.coarse), columns.new_tensor(FLOOR * size))
    lost = torch.zeros_like(rows, dtype=torch.bool)
    while steps < FINEST and len(rows := (~(error <= share) & ~lost).nonzero()[:, 0]):
        steps *= 2
        finer = answer(rows, steps)
        step = (CAUTION * size ** (1 / 6) if steps <= FAMILY else LATE) * _distance(finer.columns, columns[rows])
        lost[rows] = ~(finer.columns.isfinite() | columns[rows].isfinite()).all(1) & (steps > HOPE)
        error[rows] = torch.maximum(step, error[rows] / GUARD)
        columns[rows], end[rows], taken[rows] = finer.columns, finer.end, steps
        total[rows] += steps
    return Refined(columns, end, error, taken, total)


def _distance(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean(1).sqrt()
