"""Hutchinson's estimator: v^T J v, whose mean over probes with E[v v^T] = I is the trace.

References:
    Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix, 1989, https://doi.org/10.1080/03610918908812806
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from solvers.divergence.base import Divergence, PointField, inner, products
from solvers.divergence.probes import Probes, keys_of, rademacher


@dataclass(frozen=True)
class Hutchinson(Divergence):
    """One estimate for each of `columns` probes of the given distribution: `rademacher`, `sphere` or `gaussian`."""

    columns: int = 1
    law: Probes = rademacher

    def __post_init__(self) -> None:
        """Raises ValueError unless there is a probe."""
        if self.columns < 1:
            raise ValueError(f"an estimate needs at least one probe, got {self.columns}; give 8 to see its error")

    def probes(self, x: Tensor, seed: int, indices: Tensor) -> Tensor:
        """All of them, (B, columns, *E)."""
        return self.law(keys_of(seed, indices), (self.columns, *x.shape[1:]), x.dtype)

    def along(self, field: PointField, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """F(x) (B, *E) and v^T J v for each probe (B, columns)."""
        value, pushed = products(field, x, probes)
        return value, inner(probes, pushed)
