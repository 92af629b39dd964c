"""The kit's grid in one to three dimensions against exact laws: turning Gaussians, an equilibrium under noise that depends on x."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.sde import SDE, StateDependentSDE
from sde_diffusion.testing import check_sde
from sde_diffusion.testing.grid import Grid, GridScore, history, interpolate
from sde_diffusion.testing.simulation import START, coordinates
from sde_diffusion.testing.waves import Waves, draws
from tests.known_bugs.reversal_in_two_dimensions import Turning
from tests.known_bugs.stratonovich_drift import Equilibrium

TURN = 2.0


class Turned(SDE):
    """dx = (A - 1) x dt + sqrt(2) dW with A a rotation: N(e^-t R m, e^-2t v + 1 - e^-2t), exactly."""

    horizon, t_min = 0.5, 0.0

    def drift(self, x, t):
        a, b = x.unbind(1)
        return torch.stack([-a + TURN * b, -b - TURN * a], 1)

    def diffusion(self, t):
        return math.sqrt(2)


def exact(t: float) -> tuple[torch.Tensor, float]:
    """Mean (2,) and variance of each coordinate of `Turned`."""
    m, angle = START[0] * math.exp(-t), TURN * t
    mean = torch.tensor([m * (math.cos(angle) + math.sin(angle)), m * (math.cos(angle) - math.sin(angle))])
    return mean.double(), START[1] ** 2 * math.exp(-2 * t) + 1 - math.exp(-2 * t)


def test_a_turning_gaussian_on_the_grid_at_second_order():
    """Twice the cells and steps: a quarter of the error, in the means of all waves."""
    mean, variance = exact(Turned.horizon)
    waves = Waves.of(torch.ones(2, dtype=torch.float64))
    length, angle = torch.exp(-0.5 * variance * waves.vectors.square().sum(1)), waves.vectors @ mean
    right, errors = torch.cat([length * angle.cos(), length * angle.sin()]), []
    for cells, steps in ((24, 12), (48, 24), (96, 48)):
        grid = Grid.over(torch.full((2,), -6.0), torch.full((2,), 6.0), cells)
        mass = history(Turned(), grid, START, steps)[-1]
        assert mass.sum() == pytest.approx(1.0, abs=1e-10)
        errors.append((waves.over(grid, mass) - right).abs().max().item())
    assert errors[-1] < 2e-3
    assert math.log2(errors[-2] / errors[-1]) == pytest.approx(2.0, abs=0.35)


def test_the_score_of_the_grid_is_that_of_the_gaussian():
    grid = Grid.over(torch.full((2,), -5.0), torch.full((2,), 5.0), 80)
    masses = history(Turned(), grid, START, 40)
    score = GridScore(grid, masses, Turned.horizon)
    mean, variance = exact(Turned.horizon)
    x = mean + torch.tensor([[0.0, 0.0], [1.0, -0.5], [-1.3, 0.9]], dtype=torch.float64)
    assert score(x, Turned.horizon) == pytest.approx(-(x - mean) / variance, abs=0.03)


def test_noise_that_depends_on_the_state_reaches_its_equilibrium_on_the_grid():
    """g^2 = 1 + x^2/2 with the drift that leaves N(0, 1) invariant; in three dimensions too."""

    class Long(Equilibrium):
        horizon = 12.0

    for d, cells, allowed in ((1, 200, 1e-3), (3, 24, 2e-2)):
        grid = Grid.over(torch.full((d,), -5.0), torch.full((d,), 5.0), cells)
        mass = history(Long(), grid, START, 60)[-1]
        variance = (mass.flatten() @ (grid.points().flatten(0, -2) ** 2)).mean().item()
        assert variance == pytest.approx(1.0, abs=allowed + grid.widths[0] ** 2 / 6)


def test_interpolation_is_exact_for_planes_and_constant_beyond():
    grid = Grid.over(torch.zeros(3), torch.tensor([1.0, 2.0, 3.0]), 6)
    plane = grid.points() @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64)
    x = torch.tensor([[0.4, 1.1, 2.2], [0.5, 0.9, 0.7]], dtype=torch.float64)
    assert interpolate(plane, grid, x) == pytest.approx(x @ torch.tensor([[1.0], [-2.0], [0.5]], dtype=torch.float64))
    assert torch.isfinite(interpolate(plane, grid, 100 * x)).all()


def test_draws_have_the_law_of_the_masses():
    grid = Grid.over(torch.full((2,), -4.0), torch.full((2,), 4.0), 80)
    x = draws(grid, torch.from_numpy(grid.gaussian(*START)), 20_000)
    assert x.mean(0) == pytest.approx(torch.full((2,), START[0], dtype=torch.float64), abs=0.02)
    assert x.std(0) == pytest.approx(torch.full((2,), START[1], dtype=torch.float64), abs=0.02)


def test_a_drift_says_how_many_coordinates_it_takes():
    class Three(Turned):
        def drift(self, x, t):
            a, b, c = x.unbind(1)
            return torch.stack([b, c, -a], 1)

    assert [coordinates(sde) for sde in (Equilibrium(), Turned(), Three())] == [1, 2, 3]


@pytest.mark.parametrize(
    "level", [pytest.param("quick", marks=pytest.mark.slow), pytest.param("full", marks=pytest.mark.weekly)]
)
def test_processes_of_two_and_three_coordinates_pass(level):
    class Lorenz(SDE):
        horizon, t_min = 1.0, 0.0

        def drift(self, x, t):
            a, b, c = x.unbind(1)
            return torch.stack([2 * (b - a), a * (1.5 - c) - b, a * b - c], 1)

        def diffusion(self, t):
            return 0.8

    class Noisy(StateDependentSDE):
        horizon, t_min = 1.0, 0.0

        def drift(self, x, t):
            a, b, c = x.unbind(1)
            return torch.stack([b - a, -b - a, a * b - c], 1)

        def diffusion(self, x, t):
            return (0.5 + 0.2 * x.roll(1, 1) ** 2 + 0.1 * x**2).sqrt()

    for sde in (Turned(), Turning(), Lorenz(), Noisy()):
        report = check_sde(sde, level)
        assert report.ok, str(report)
