r"""Two samples compared pair by pair: an unbiased discrepancy with a standard error of its own.

With a kernel k and independent X, X' ~ p and Y, Y' ~ q the squared maximum mean discrepancy is

    MMD^2(p, q) = E k(X, X') + E k(Y, Y') - 2 E k(X, Y)                                                        (1)

The estimate leaves a sample out of its own partners (a U-statistic), so its mean is (1) whatever the sample sizes, and
for equal distributions its mean is zero, so it is often below zero.

The standard error is the jackknife's: the estimate without sample i is known from the sums of the i-th row, so that all
N + M of them cost nothing beyond the sums. Its square has a mean of at least the variance at N - 1 samples (Efron &
Stein): about equal to it where the distributions differ, twice it where they are equal and the statistic degenerates. The mean
over random subsets, as KID was first reported, would use a part of the pairs, and the deviation among overlapping
subsets is the error of nothing.

References:
    Gretton et al., A Kernel Two-Sample Test, 2012, https://jmlr.org/papers/v13/gretton12a.html, equation (3)
    Efron & Stein, The Jackknife Estimate of Variance, 1981, https://doi.org/10.1214/aos/1176345462
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Kernel = Callable[[Tensor, Tensor], Tensor]
"""Rows (n, D) and (m, D) to the kernel of every pair (n, m)."""


@dataclass(frozen=True)
class PairSums:
    """For each row of x (N,) and of y (M,), its sums of the kernel over its own sample, itself left out, and the other."""

    within_x: Tensor
    within_y: Tensor
    across_x: Tensor
    across_y: Tensor

    @classmethod
    def of(cls, kernel: Kernel, x: Tensor, y: Tensor, chunk: int = 2048) -> PairSums:
        """The sums for x (N, D) and y (M, D), in tiles of chunk x chunk pairs: memory O(chunk^2 + N + M)."""
        across = _both_ways(kernel, x, y, chunk)
        return cls(_among(kernel, x, chunk), _among(kernel, y, chunk), *across)

    @property
    def value(self) -> float:
        """The unbiased estimate of (1); N and M at least 2."""
        n, m = len(self.within_x), len(self.within_y)
        own = self.within_x.sum() / (n * (n - 1)) + self.within_y.sum() / (m * (m - 1))
        return float(own - 2 * self.across_x.sum() / (n * m))

    @property
    def error(self) -> float:
        """The standard error by the jackknife over both samples; N and M at least 3."""
        squares = _without_one(self.within_x, self.across_x, len(self.within_y))
        return math.sqrt(squares + _without_one(self.within_y, self.across_y, len(self.within_x)))


def _without_one(within: Tensor, across: Tensor, others: int) -> float:
    """(n - 1)/n times the sum of squares of the estimate without sample i, about their mean."""
    n = len(within)
    own = (within.sum() - 2 * within) / ((n - 1) * (n - 2))
    left = own - 2 * (across.sum() - across) / ((n - 1) * others)
    return float((left - left.mean()).square().sum() * (n - 1) / n)


def _among(kernel: Kernel, x: Tensor, chunk: int) -> Tensor:
    """For each row of x (N, D) its sum over the other rows, (N,)."""
    parts = x.split(chunk)
    sums = []
    for i, rows in enumerate(parts):
        tiles = (kernel(rows, others) for others in parts)
        sums.append(sum(_off_diagonal(tile, i == j).sum(dim=1) for j, tile in enumerate(tiles)))
    return torch.cat(sums)


def _off_diagonal(tile: Tensor, on_diagonal: bool) -> Tensor:
    return tile.fill_diagonal_(0) if on_diagonal else tile


def _both_ways(kernel: Kernel, x: Tensor, y: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """For each row of x its sum over y, (N,), and for each row of y its sum over x, (M,)."""
    of_x, of_y = [], y.new_zeros(len(y))
    for rows in x.split(chunk):
        row_sums = rows.new_zeros(len(rows))
        for begin, others in zip(range(0, len(y), chunk), y.split(chunk), strict=True):
            tile = kernel(rows, others)
            row_sums += tile.sum(dim=1)
            of_y[begin : begin + chunk] += tile.sum(dim=0)
        of_x.append(row_sums)
    return torch.cat(of_x), of_y
