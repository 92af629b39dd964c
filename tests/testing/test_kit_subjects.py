"""The kit on what the library ships: everything passes, within the promised time, at both levels; and the doors."""

from __future__ import annotations

import json
import time
from functools import partial

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.plugins import implementations
from sde_diffusion.reversal import (
    ancestral,
    data_form,
    reverse_sde,
    sigma_form,
    velocity_form,
)
from sde_diffusion.reversal import (
    edm_churn as churned,
)
from sde_diffusion.sde import SDE, VP, LinearSDE
from sde_diffusion.testing import check, check_denoiser, check_sampler, check_sde, load, strategies
from sde_diffusion.testing.sampler import ours
from solvers import AdamsBashforth, Ancestral, EulerMaruyama, ExponentialAdams, ExponentialEuler, Heun, ItoSDE, Order
from solvers.backends.torchsde import Torchsde
from solvers.methods.churn import Churn
from solvers.testing import check_engine
from tests.cpu_limit import cpu_limit

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values()]
DRAWN = (Phase.explicit, Phase.generate)
"""No search for a smaller example: a report names its own."""

SAMPLERS = [
    ours("DDIM", data_form, ExponentialEuler(), 1),
    ours("DPM-Solver++(2M)", data_form, ExponentialAdams(2), 2),
    ours("EDM Heun", sigma_form, Heun(), 2),
    ours("velocity AB 2", velocity_form, AdamsBashforth(2), 2),
    ours("SDE-DPM-Solver++(1)", partial(data_form, eta=1.0), ExponentialEuler(), 1),
    ours("Euler-Maruyama", reverse_sde, EulerMaruyama(), 1),
    ours("DDPM", ancestral, Ancestral(), 1),
    ours("EDM stochastic", churned, Churn(10), 2),
]


class Bare(Denoiser):
    """A denoiser without a law."""

    def forward(self, x_t, kernel, **condition):
        return x_t


class DoubleWell(SDE):
    horizon, t_min = 2.0, 0.0

    def drift(self, x, t):
        return x - x**3

    def diffusion(self, t):
        return 1.0


@pytest.mark.parametrize("sde", [*PROCESSES, DoubleWell()], ids=lambda sde: type(sde).__name__)
def test_every_process_passes(sde):
    report = check_sde(sde)
    assert report.ok, str(report)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: sampler.name)
def test_our_samplers_pass(sampler):
    report = check_sampler(sampler)
    assert report.ok, str(report)
    assert report["host reads in a step"].error == 0


def test_a_sampler_whose_errors_cancel_by_chance_passes():
    """At this stochasticity the bias changes its sign near 20 steps: the order shows at 80 and more."""
    eta = 0.48
    report = check_sampler(ours("Euler-Maruyama", partial(reverse_sde, eta=eta), EulerMaruyama(), 1))
    assert report.ok, str(report)


@pytest.mark.parametrize("law", [two(), ring8()], ids=["two", "ring8"])
def test_exact_denoisers_pass(law):
    report = check_denoiser(ExactDenoiser(law))
    assert report.ok, str(report)


@settings(max_examples=3, phases=DRAWN)
@given(sde=strategies.linear_sdes())
def test_processes_of_random_parameters_pass(sde):
    report = check_sde(sde)
    assert report.ok, f"{sde}\n{report}"


@settings(max_examples=4, phases=DRAWN)
@given(law=strategies.mixtures())
def test_denoisers_of_random_mixtures_pass(law):
    report = check_denoiser(ExactDenoiser(law))
    assert report.ok, f"{law.tensors()}\n{report}"


@given(data=st.data())
def test_strategies_draw_what_they_say(data):
    sde = data.draw(strategies.linear_sdes())
    t = data.draw(strategies.times(sde))
    assert 0 <= t <= sde.horizon
    assert sde.kernel(t).sigma > 0
    shape = data.draw(strategies.event_shapes())
    law = data.draw(strategies.gaussians(shape or (1,)))
    x = law.sample(2, torch.Generator().manual_seed(0)).to(data.draw(strategies.dtypes()))
    kernel = data.draw(strategies.kernels())
    assert law.denoise(x, kernel).shape == x.shape


@pytest.mark.slow
def test_both_levels_take_the_promised_time():
    """CPU seconds: under 5 quick and under 60 full; the whole kit of one process, a denoiser and a sampler with it."""
    for level, most in (("quick", 5.0), ("full", 60.0)):
        began = time.process_time()
        reports = [check(thing, level) for thing in (VP(), ExactDenoiser(two()), SAMPLERS[1])]
        assert time.process_time() - began < cpu_limit(most)
        assert all(report.ok for report in reports)


@pytest.mark.slow
def test_a_method_of_torchsde_is_checked_by_the_same_kit():
    report = check_engine("srk", lambda steps: Torchsde("srk", steps), ItoSDE, Order(strong=1.5, weak=2))
    assert report.ok, str(report)
    assert not check_engine("euler", lambda steps: Torchsde("euler", steps), ItoSDE, Order(strong=1.5, weak=2)).ok


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("sde_diffusion.sde", "module:name"),
        ("sde_diffusion.sde:Nobody", "cannot be loaded"),
        ("nowhere.at.all:X", "cannot be loaded"),
        ("sde_diffusion.sde:GaussianPrior", "wants arguments"),
    ],
)
def test_a_subject_that_cannot_be_made_is_refused_in_a_sentence(word, says):
    with pytest.raises(ValueError, match=says):
        load(word)


def test_what_is_no_subject_is_refused():
    with pytest.raises(TypeError, match="got int"):
        check(3)
    with pytest.raises(TypeError, match="an instance"):
        check_sde(VP)
    with pytest.raises(TypeError, match="Preconditioned"):
        check_denoiser(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="law=, data= or event_shape="):
        check_denoiser(Bare())
    with pytest.raises(ValueError, match="quick"):
        check_sde(VP(), "thorough")


def test_the_report_is_data():
    report = check_sde(VP())
    record = json.loads(report.to_json())
    assert record["subject"] == "VP"
    assert {finding["check"] for finding in record["findings"]} == {finding.check for finding in report.findings}
