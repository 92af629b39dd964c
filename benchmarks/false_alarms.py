"""How often do the checks that draw random numbers raise an alarm on a correct subject? 200 seeds each.

python -m benchmarks.false_alarms
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from benchmarks.output import save_table
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.sde import SDE
from sde_diffusion.testing.calibration import FIGURES, statistics
from sde_diffusion.testing.fokker_planck import GRID_ERROR, distributions
from sde_diffusion.testing.observed import LEVELS, Observed
from solvers import EulerMaruyama, ItoSDE
from solvers.methods.sra1 import SRA1
from solvers.testing import orders
from solvers.testing.methods import TOLERANCE, order_verdict
from solvers.testing.significance import band, quantile

SEEDS = 200
COLUMNS = [
    "check",
    "seeds",
    "figures a seed",
    "alarms",
    "largest, of what is allowed",
    "tail: share beyond 2, 3 standard errors (0.046, 0.0027)",
]


class DoubleWell(SDE):
    horizon, t_min = 2.0, 0.0

    def drift(self, x, t):
        return x - x**3

    def diffusion(self, t):
        return 1.0


def calibration(name: str, law) -> list[str]:
    """The residuals of an exact denoiser on fresh data."""
    found = []
    for seed in range(SEEDS):
        data = law.sample(2000, torch.Generator().manual_seed(1000 + seed))
        seen = Observed.of(ExactDenoiser(law), None, data, None, len(data))
        found += [abs(mean.deviation) for level in LEVELS for mean in statistics(seen, level, seed + 1).values()]
    off = torch.tensor(found)
    tail = f"{(off > 2).double().mean():.3f}, {(off > 3).double().mean():.4f}"
    return line(f"calibration of an exact denoiser, {name}", FIGURES, off / quantile(FIGURES), tail)


def simulation() -> list[str]:
    """The double well's paths against its Fokker-Planck equation."""
    gaps = []
    for seed in range(SEEDS):
        _, seen, exact = distributions(DoubleWell(), 5000, seed)
        gaps.append((seen - exact).abs().max().item())
    return line("simulated law, double well, 5000 paths", 1, torch.tensor(gaps) / (band(5000, 1) + GRID_ERROR))


def order(name: str, measure: Callable, method, declared: float) -> list[str]:
    """A measured order: its distance from the declared one, beyond its interval."""
    seen = [measure(orders.on_grid(method), seed) for seed in range(SEEDS)]
    errors = [order_verdict("", one, declared).error for one in seen]
    return line(f"{name} order of {method!r}", 1, torch.tensor(errors) / TOLERANCE)


def line(name: str, figures: int, shares: torch.Tensor, tail: str = "-") -> list[str]:
    """One row: the figures as shares of what is allowed."""
    return [name, str(SEEDS), str(figures), str(int((shares > 1).sum())), f"{shares.max():.2f}", tail]


def strong(at, seed: int):
    return orders.strong(at, ItoSDE, "down", seed)


def main() -> None:
    rows = [calibration("two", two()), calibration("ring8", ring8()), simulation()]
    rows += [order("strong", strong, EulerMaruyama(), 1.0), order("strong", strong, SRA1(), 1.5)]
    save_table("false_alarms", "False alarms of the checks that draw random numbers", COLUMNS, rows)


if __name__ == "__main__":
    main()
