"""Clocks and charts of every reversal of every process: there and back, and grids that are even where they say so."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.plugins import implementations
from sde_diffusion.reversal import (
    ancestral,
    annealed_langevin,
    data_form,
    in_log_snr,
    noise_form,
    probability_flow,
    reverse_sde,
    sigma_form,
    velocity_form,
)
from sde_diffusion.reversal import (
    edm_churn as churned,
)
from sde_diffusion.sde import LinearSDE
from solvers import power

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values()]
REVERSALS = [
    ancestral, annealed_langevin, churned, data_form, noise_form, probability_flow, reverse_sde, sigma_form,
    velocity_form,
]  # fmt: skip
SPACINGS = {"even": ((), lambda u: u), "root": ((power(2),), torch.sqrt)}
DENOISER = ExactDenoiser(Gaussian([0.4], [[1.3]]))
each_process = pytest.mark.parametrize("sde", PROCESSES, ids=lambda sde: type(sde).__name__)
each_reversal = pytest.mark.parametrize("make", REVERSALS, ids=lambda make: make.__name__)


def inner_times(sde):
    return [sde.time(log_snr) for log_snr in (5.0, 1.0, -3.0)]


@each_process
@each_reversal
def test_a_clock_is_read_back_and_a_chart_left_as_it_was_entered(sde, make):
    reversal = make(sde, DENOISER)
    clock, x = reversal.clock, torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
    assert (clock.to_time(reversal.start), clock.to_time(reversal.stop)) == pytest.approx(
        (sde.horizon, sde.t_min), rel=1e-9
    )
    for t in inner_times(sde):
        assert clock.to_time(clock.from_time(t)) == pytest.approx(t, rel=1e-9)
        torch.testing.assert_close(reversal.from_chart(reversal.to_chart(x, clock.from_time(t)), clock.from_time(t)), x)


@each_process
@each_reversal
def test_the_finish_is_the_denoised_mean_at_the_time_of_the_reading(sde, make):
    reversal, x = make(sde, DENOISER), torch.tensor([[0.3], [-2.0]], dtype=torch.float64)
    for t in inner_times(sde):
        expected = DENOISER(x, sde.kernel(t))
        torch.testing.assert_close(reversal.finish(x, reversal.clock.from_time(t)), expected, rtol=1e-7, atol=1e-9)


@each_process
@each_reversal
@pytest.mark.parametrize("name", SPACINGS)
def test_a_grid_in_log_snr_is_laid_out_in_log_snr(sde, make, name):
    """log(sigma/alpha), or its square root where it is positive, falls in equal steps, whatever the clock."""
    clock, (spacing, chart) = make(sde, DENOISER).clock, SPACINGS[name]
    start, stop = sde.time(-6.0), sde.time(-1.0)
    grid = in_log_snr(sde, clock, *spacing)(clock.from_time(start), clock.from_time(stop), 7).tolist()
    levels = chart(torch.tensor([-0.5 * sde.log_snr(clock.to_time(reading)) for reading in grid], dtype=torch.float64))
    torch.testing.assert_close(levels.diff(), levels.diff().mean().expand(7), rtol=1e-6, atol=1e-9)
    assert levels[0] > levels[-1]
