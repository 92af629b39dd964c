"""A form with a fitting method, given nothing but the number of steps, is good on every process.

The exact denoiser of `two`, the mean log-density of the samples against the exact one. docs/decisions/0014 has the table
from which the grids were chosen.
"""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import (
    ancestral,
    ancestral_large,
    annealed_langevin,
    data_form,
    ddim,
    edm_churn,
    gaussian_form,
    noise_form,
    probability_flow,
    reverse_sde,
    sigma_form,
    velocity_form,
)
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sampling import default_solver, sample
from sde_diffusion.sde import DDPM, EDM, VE, VP, Brownian, Rectified, SubVP
from sde_diffusion.sde.cosine import Cosine
from solvers import AdamsBashforth, Ancestral, EulerMaruyama, ExponentialAdams, FixedGrid, Heun, uniform
from solvers.methods.churn import Churn

LAW = two()
DENOISER = ExactDenoiser(LAW)
PROCESSES = {type(s).__name__: s for s in (VP(), SubVP(), VE(), EDM(), Cosine(), Rectified(), Brownian(), DDPM())}
SECOND_ORDER = {
    "probability_flow": (probability_flow, Heun()),
    "velocity_form": (velocity_form, AdamsBashforth(2)),
    "scaled_velocity_form": (scaled_velocity_form, Heun()),
    "data_form": (data_form, ExponentialAdams(2)),
    "noise_form": (noise_form, ExponentialAdams(2)),
    "sigma_form": (sigma_form, Heun()),
    "gaussian_form": (gaussian_form, ExponentialAdams(2)),
}
FIRST_ORDER = {
    "reverse_sde": (reverse_sde, EulerMaruyama()),
    "ancestral": (ancestral, Ancestral()),
    "ancestral_large": (ancestral_large, Ancestral()),
    "ddim": (ddim, Ancestral()),
    "edm_churn": (edm_churn, Churn()),
}
FORMS = {name: make for name, (make, _) in {**SECOND_ORDER, **FIRST_ORDER}.items()} | {"langevin": annealed_langevin}


@cache
def exact_flow(process: str, count: int) -> float:
    """The mean log-density of the exact flow's ends for the same initial states: what is left is the solver's error."""
    form, solver = default_solver(PROCESSES[process], DENOISER, 100)
    return mean_log_density(form, solver, count)


def mean_log_density(form, solver, count: int) -> float:
    x = sample(form, solver, (count, 2), chunk=count, dtype=torch.float64)
    return LAW.log_prob(x).mean().item()


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", SECOND_ORDER)
def test_fifty_steps_of_second_order_come_within_a_twentieth_of_a_nat(name, process):
    make, method = SECOND_ORDER[name]
    form = make(PROCESSES[process], DENOISER).without_final_denoise()
    found = mean_log_density(form, FixedGrid(method, 50), 512)
    assert found == pytest.approx(exact_flow(process, 512), abs=0.05)


@pytest.mark.parametrize("process", ["VE", "EDM", "Rectified", "Brownian"])
@pytest.mark.parametrize("name", FIRST_ORDER)
def test_two_hundred_steps_of_first_order_come_within_an_eighth_of_a_nat(name, process):
    """The standard error of 2048 samples is 0.023 nats."""
    make, method = FIRST_ORDER[name]
    found = mean_log_density(make(PROCESSES[process], DENOISER), FixedGrid(method, 200), 2048)
    assert found == pytest.approx(-0.227, abs=0.125)


@pytest.mark.parametrize("process", PROCESSES)
@pytest.mark.parametrize("name", FORMS)
def test_no_last_step_spans_many_e_folds_of_the_noise_level(name, process):
    """20 steps, down from where the noise is still a hundredth of unit data; in equal steps of EDM's time it is seven e-folds."""
    sde = PROCESSES[process]
    form = FORMS[name](sde, DENOISER)
    times = form.spacing(form.start, form.stop, 20).tolist()
    *_, before, last = (-0.5 * sde.log_snr(float(form.clock.to_time(u))) for u in times)
    assert 0 < max(before, math.log(0.01)) - max(last, math.log(0.01)) + 1e-9 < 2.5


@pytest.mark.parametrize("name", FORMS)
def test_the_grid_serves_both_directions_and_parts_of_the_range(name):
    sde = VP()
    form = FORMS[name](sde, DENOISER)
    down, up = form.spacing(form.start, form.stop, 12), form.spacing(form.stop, form.start, 12)
    torch.testing.assert_close(up.flip(0), down, rtol=1e-9, atol=0.0)
    middle = down[6].item()
    torch.testing.assert_close(form.spacing(middle, form.stop, 6), down[6:], rtol=1e-9, atol=0.0)


def test_a_grid_of_one_s_own_takes_precedence():
    form = sigma_form(VP(), DENOISER)
    x = torch.ones(2, 2, dtype=torch.float64)
    times = [t for t, _ in FixedGrid(Heun(), 4, uniform).trajectory(form.equation, x, form.start, form.stop)]
    assert times == uniform(form.start, form.stop, 4)[1:].tolist()
    times = [t for t, _ in FixedGrid(Heun(), 4).trajectory(form.equation, x, form.start, form.stop)]
    assert times == form.spacing(form.start, form.stop, 4)[1:].tolist()
