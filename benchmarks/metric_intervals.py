"""Do the intervals of the metrics cover what they should, the expectation at these sample sizes? 400 of each, at 95%.

python -m benchmarks.metric_intervals
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.metrics import (
    Estimate,
    bootstrap,
    estimate_distance,
    estimate_energy_distance,
    estimate_kernel_distance,
    estimate_manifold,
    frechet,
    sliced_wasserstein,
)

TRIALS, RESAMPLES = 400, 40
COLUMNS = ["metric", "distributions", "expectation", "standard deviation", "covered", "width / 3.92 sd"]


@dataclass(frozen=True)
class Case:
    """Samples of N(shift/sqrt(D) (1, ..., 1), scale^2 I) against as many of N(0, I) in D dimensions."""

    dimension: int
    count: int
    shift: float
    scale: float

    def pair(self, number: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(number)
        x, y = torch.randn(2, self.count, self.dimension, dtype=torch.float64, generator=generator)
        return self.scale * x + self.shift / self.dimension**0.5, y

    def __str__(self) -> str:
        laws = "equal" if (self.shift, self.scale) == (0, 1) else f"shift {self.shift:g}, scale {self.scale:g}"
        return f"{laws}; D = {self.dimension}, n = {self.count}"


CASES = [Case(8, 200, 0, 1), Case(8, 200, 1, 1.3), Case(32, 200, 1, 1.2), Case(2, 200, 0.5, 1.2)]


def lines(x: Tensor, y: Tensor) -> float:
    return sliced_wasserstein(x, y, 32)


def estimates(x: Tensor, y: Tensor, seed: int) -> dict[str, Estimate]:
    by_halves: dict[str, Callable[[Tensor, Tensor], float]] = {"Frechet": frechet, "sliced W2": lines}
    found = {n: estimate_distance(f, x, y, resamples=RESAMPLES, seed=seed) for n, f in by_halves.items()}
    found |= {f"{n}, bootstrap": bootstrap(f, x, y, resamples=RESAMPLES, seed=seed) for n, f in by_halves.items()}
    found |= {"KID": estimate_kernel_distance(x, y), "energy": estimate_energy_distance(x, y)}
    return found | estimate_manifold(x, y, resamples=RESAMPLES, seed=seed)


def rows(case: Case) -> list[list[str]]:
    """Each metric's expectation is the mean over the trials; an interval of one trial hardly moves it."""
    found = [estimates(*case.pair(number), seed=number) for number in range(TRIALS)]
    return [row(name, case, [one[name] for one in found]) for name in found[0]]


def row(name: str, case: Case, found: list[Estimate]) -> list[str]:
    values = torch.tensor([one.value for one in found], dtype=torch.float64)
    mean, deviation = float(values.mean()), float(values.std())
    covered = sum(mean in one for one in found) / len(found)
    width = sum(one.high - one.low for one in found) / len(found) / (3.92 * deviation)
    return [name, str(case), f"{mean:.4g}", f"{deviation:.3g}", f"{covered:.1%}", f"{width:.2f}"]


def main() -> None:
    title = f"Coverage of 95% intervals, {TRIALS} trials each, {RESAMPLES} resamples; 95% +- 2.1% by chance alone"
    save_table("metric_intervals", title, COLUMNS, [line for case in CASES for line in rows(case)])


if __name__ == "__main__":
    main()
