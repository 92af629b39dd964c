"""The checks that draw random numbers: no false alarm over 200 seeds, tails of the size they say, and power."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser
from sde_diffusion.testing.calibration import FIGURES, STATISTICS, statistics
from sde_diffusion.testing.grid import Grid, history
from sde_diffusion.testing.observed import LEVELS, Observed
from solvers.testing.significance import quantile
from tests.testing.test_kit_subjects import DoubleWell


def deviations(seeds: int, denoiser: Denoiser) -> torch.Tensor:
    """Of all statistics at all levels on fresh data, in standard errors, (seeds, FIGURES)."""
    rows = []
    for seed in range(seeds):
        data = two().sample(2000, torch.Generator().manual_seed(1000 + seed))
        seen = Observed.of(denoiser, None, data, None, len(data))
        rows.append([m.deviation for level in LEVELS for m in statistics(seen, level, seed + 1).values()])
    return torch.tensor(rows)


@pytest.mark.slow
def test_no_false_alarm_in_200_seeds_and_honest_tails():
    """4000 figures: none fails; 4.6% lie beyond two standard errors, 0.27% beyond three."""
    off = deviations(200, ExactDenoiser(two())).abs()
    assert not (off > quantile(FIGURES)).any()
    assert 0.03 < (off > 2).double().mean() < 0.065
    assert 0.0005 < (off > 3).double().mean() < 0.008


class Timid(Denoiser):
    """An exact answer drawn towards zero by a share."""

    def __init__(self, share: float):
        super().__init__()
        self.exact, self.share = ExactDenoiser(two()), share

    def forward(self, x_t, kernel, **condition):
        return (1 - self.share) * self.exact(x_t, kernel)


def test_a_small_fault_is_seen_where_the_power_says_so():
    """The bias c E[D] of the mean at one level is seen nine times out of ten when it is the power of the report."""
    level, name = 1.5, "mean"
    whole = Observed.of(Timid(0.0), None, two().sample(2000, torch.Generator().manual_seed(0)), None, 2000)
    power = statistics(whole, level)[name].power(FIGURES)
    share = power / two().mean.mean().item()
    place = LEVELS.index(level) * len(STATISTICS) + list(STATISTICS).index(name)
    seen = deviations(40, Timid(share))[:, place].abs() > quantile(FIGURES)
    assert 0.75 <= seen.double().mean() <= 1.0


def test_an_untrained_answer_is_told_by_its_level():
    """A fault at one noise level alone: the report names that level."""

    class Local(Timid):
        def forward(self, x_t, kernel, **condition):
            near = abs(float(kernel.sigma) / float(kernel.alpha) - 0.6 * 0.7) < 0.1
            return (0.8 if near else 1.0) * self.exact(x_t, kernel)

    report = check_denoiser(Local(0.0), data=two().sample(2000, torch.Generator().manual_seed(0)))
    found = report["residual: against the answer"]
    assert found.failed
    assert "sigma/alpha = 0.4" in found.example


def test_the_grid_equation_keeps_mass_and_reaches_equilibrium():
    """After a long time the law is exp(2 x^2/2 - 2 x^4/4), whatever it was."""

    class Long(DoubleWell):
        horizon = 60.0

    edges = torch.linspace(-4, 4, 401, dtype=torch.float64)
    mass = history(Long(), Grid((edges,)), (0.3, 0.5), 600)[-1]
    x = (edges[1:] + edges[:-1]) / 2
    law = torch.softmax(x**2 - x**4 / 2, 0)
    assert mass.sum() == pytest.approx(1.0, abs=1e-10)
    assert (mass - law).abs().sum() < 2e-3
