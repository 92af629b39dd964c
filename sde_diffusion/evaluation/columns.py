"""Samples of a table beside held-out rows, in the table's own units: marginals of each column, correlations of each pair.

The Kolmogorov-Smirnov distance of two samples of one number is the largest difference of their distribution functions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from sde_diffusion.report.table import Table


@dataclass(frozen=True)
class Marginal:
    """One column: mean and standard deviation of samples and of held-out rows, and the Kolmogorov-Smirnov distances of
    samples and of real training rows to the held-out rows."""

    name: str
    mean: float
    held_out_mean: float
    std: float
    held_out_std: float
    ks: float
    real_ks: float


@dataclass(frozen=True)
class Correlation:
    """The correlation of two columns among samples, held-out rows and real training rows; NaN where one is constant."""

    names: tuple[str, str]
    samples: float
    held_out: float
    real: float


@dataclass(frozen=True)
class ColumnReport:
    """All columns, and all pairs of them, the pair with the largest difference to the held-out rows first."""

    marginals: Sequence[Marginal]
    correlations: Sequence[Correlation]

    @classmethod
    def of(cls, names: Sequence[str], x: Tensor, held_out: Tensor, real: Tensor, given: int = 0) -> ColumnReport:
        """Samples x (N, D), held-out rows (M, D) and real training rows (K, D) with columns called `names`.

        The last `given` columns are a condition: samples have those of the held-out rows, so that only their correlations
        with the other columns are measured.
        """
        own = len(names) - given
        x, held_out, real = (rows.double().cpu() for rows in (x, held_out, real))
        columns = zip(names[:own], *(rows.T[:own] for rows in (x, held_out, real)), strict=True)
        marginals = [
            Marginal(name, *map(float, (a.mean(), b.mean(), a.std(), b.std(), ks_distance(a, b), ks_distance(c, b))))
            for name, a, b, c in columns
        ]
        matrices = [rows.T.corrcoef().reshape(len(names), -1) for rows in (x, held_out, real)]
        pairs = [
            Correlation((names[i], names[j]), *(float(matrix[i, j]) for matrix in matrices))
            for i, j in combinations(range(len(names)), 2)
            if i < own
        ]
        return cls(marginals, sorted(pairs, key=lambda pair: -abs(pair.samples - pair.held_out)))

    def tables(self) -> list[Table]:
        """The columns, and the ten pairs whose correlation differs most."""
        heads = ["column", "mean", "held out", "std", "held out", "KS distance", "of real data"]
        rows = [
            [one.name, *(f"{value:.4g}" for value in (one.mean, one.held_out_mean, one.std, one.held_out_std)),
             f"{one.ks:.3f}", f"{one.real_ks:.3f}"]
            for one in self.marginals
        ]  # fmt: skip
        tables = [Table(heads, rows, "Columns in their own units: samples beside held-out and real training rows")]
        pairs = [
            [" and ".join(one.names), *(f"{value:.3f}" for value in (one.samples, one.held_out, one.real))]
            for one in self.correlations[:10]
        ]
        title = "Correlations of columns, the largest difference first"
        return tables + ([Table(["columns", "samples", "held out", "real data"], pairs, title)] if pairs else [])


def ks_distance(a: Tensor, b: Tensor) -> float:
    """The Kolmogorov-Smirnov distance of samples a (N,) and b (M,)."""
    points = torch.cat([a, b]).sort().values
    shares = [torch.searchsorted(one.sort().values, points, right=True) / len(one) for one in (a, b)]
    return float((shares[0] - shares[1]).abs().max())


def in_units_of_columns(train: Tensor) -> Callable[[Tensor], Tensor]:
    """The map of rows (N, D) to rows in which each column of the training rows has standard deviation 1."""
    scale = train.double().std(0)
    scale = torch.where(scale > 0, scale, torch.ones_like(scale)).to(train)
    return lambda x: x / scale.to(x.device)
