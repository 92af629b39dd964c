"""A time grid is what its name says: in the variable that it speaks of, the steps are equal, for every process."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import data_form, sigma_form
from sde_diffusion.sampling.spacings import GRIDS, HIGH, LOW, TOP, karras, log_snr, uniform
from sde_diffusion.sde import VE, VP, Rectified, SubVP

VARIABLES = {
    "log_snr": lambda sde, clock, t: math.log(level(sde, t) / 2 + LOW) - math.log1p(level(sde, t) / 2 / HIGH),
    "in_log_snr": lambda sde, clock, t: sde.log_snr(t),
    "karras": lambda sde, clock, t: level(sde, t) ** (1 / 7),
    "level": lambda sde, clock, t: level(sde, t) ** (1 / 7),
    "cosine": lambda sde, clock, t: math.atan(level(sde, t) / 2),
    "quadratic": lambda sde, clock, t: VP().time(-2 * math.log(level(sde, t) / 2)) ** 0.5,
    "quadratic_in_vp_time": lambda sde, clock, t: VP().time(-2 * math.log(level(sde, t) / 2)) ** 0.5,
    "uniform": lambda sde, clock, t: clock.from_time(t),
    "time": lambda sde, clock, t: t,
    "power": lambda sde, clock, t: t**0.5,
}
"""For data of standard deviation 2."""


def level(sde, t: float) -> float:
    return float(sde.sigma(t) / sde.alpha(t))


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("sde", [VP(), VE()], ids=["vp", "ve"])
def test_the_steps_are_equal_in_its_variable(name, sde):
    form = data_form(sde, ExactDenoiser(two()))
    grid = GRIDS[name]()(sde, form, 2.0)(form.start, form.stop, 9).tolist()
    assert (grid[0], grid[-1]) == (form.start, form.stop)
    values = [VARIABLES[name](sde, form.clock, form.clock.to_time(u)) for u in grid]
    steps = torch.tensor(values, dtype=torch.float64).diff()
    torch.testing.assert_close(steps, steps.mean().expand(9), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 30])
def test_karras_begins_at_the_process_and_goes_on_below_its_top(steps):
    sde = Rectified()
    form = sigma_form(sde, ExactDenoiser(two()))
    grid = karras()(sde, form)(form.start, form.stop, steps)
    assert grid[0] == form.start > TOP
    if steps > 1:
        equal = torch.linspace(TOP ** (1 / 7), form.stop ** (1 / 7), steps + 1, dtype=torch.float64) ** 7
        torch.testing.assert_close(grid[1:-1], equal[1:-1], rtol=1e-8, atol=0)


@pytest.mark.parametrize("sde", [SubVP(), Rectified()], ids=["SubVP", "Rectified"])
def test_no_step_of_log_snr_is_much_longer_than_the_one_before(sde):
    """What multistep formulas and noise need at the end: in log kappa, a step is at most four times the one before."""
    form = data_form(sde, ExactDenoiser(two()))
    for steps in (20, 50, 200):
        lengths = log_snr()(sde, form)(form.start, form.stop, steps).diff().abs()
        assert (lengths[1:] / lengths[:-1]).max() < 4


def test_a_process_without_noise_levels_is_told_which_grids_it_has():
    class Walk:
        pass

    with pytest.raises(TypeError, match=r"log_snr needs noise levels and Walk has none; take uniform or time"):
        log_snr()(Walk(), None)  # pyright: ignore[reportArgumentType]
    assert str(uniform()) == "uniform"
