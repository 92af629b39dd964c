"""A measured number that knows how sure it is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Estimate:
    """`value` from `n` samples with the confidence interval [`low`, `high`]; `seed` is that of the resampling."""

    value: float
    low: float
    high: float
    n: int
    seed: int

    def __contains__(self, truth: float) -> bool:
        return self.low <= truth <= self.high

    def __str__(self) -> str:
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"
