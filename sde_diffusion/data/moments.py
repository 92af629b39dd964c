r"""The mean and the standard deviation of a table in one pass, a chunk at a time, in float64.

Two sets of n_a and n_b rows have together, with d = m_b - m_a and n = n_a + n_b,

    m = m_a + d n_b / n,        n s^2 = n_a s_a^2 + n_b s_b^2 + d^2 n_a n_b / n                                    (1)

No mean square is formed, so that nothing cancels where the mean is large.

References:
    Chan, Golub & LeVeque, Algorithms for Computing the Sample Variance: Analysis and Recommendations, 1983,
        https://doi.org/10.1080/00031305.1983.10483115, equation (2.1)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import Self

from torch import Tensor

from sde_diffusion.data.base import validate
from sde_diffusion.data.tables import Table, rows_at_a_time


@dataclass(frozen=True)
class Moments:
    """Of `count` rows: `mean` and `std` (divided by n), float64, of shape (D,) for vectors and () for other events."""

    count: int
    mean: Tensor
    std: Tensor

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """Those of samples x (N, *E): by column for vectors, of all numbers otherwise."""
        return cls.of_chunks(x.split(rows_at_a_time(tuple(x.shape[1:]))))

    @classmethod
    def of_table(cls, table: Table) -> Self:
        """Those of the rows of a table. Raises ValueError for numbers that are not finite."""
        return cls.of_chunks(_finite(chunk.x) for chunk in table.chunks())

    @classmethod
    def of_chunks(cls, chunks: Iterable[Tensor]) -> Self:
        """Those of samples that come in chunks (B, *E), at least one."""
        return reduce(cls.merged, map(cls._of_chunk, chunks))

    @classmethod
    def _of_chunk(cls, x: Tensor) -> Self:
        rows = x.double()
        if x.ndim == 2:
            return cls(len(x), rows.mean(0), rows.std(0, correction=0))
        return cls(len(x), rows.mean(), rows.std(correction=0))

    def merged(self, other: Self) -> Self:
        """Equation (1)."""
        count, between = self.count + other.count, other.mean - self.mean
        square = self.count * self.std**2 + other.count * other.std**2
        square = square + between**2 * (self.count * other.count / count)
        return type(self)(count, self.mean + between * (other.count / count), (square / count).sqrt())

    def overall(self) -> tuple[float, float]:
        """The mean and the standard deviation of all numbers, whatever their column."""
        mean = self.mean.mean()
        return float(mean), float((self.std**2 + (self.mean - mean) ** 2).mean().sqrt())


def _finite(x: Tensor) -> Tensor:
    return validate(x) if x.is_floating_point() else x
