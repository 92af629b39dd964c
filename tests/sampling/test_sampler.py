"""A sampler's budgets: what they cost is counted, what cannot be paid is refused, and scales of data change nothing."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Mixture
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import data_form, probability_flow
from sde_diffusion.sampling.budget import Calls, Steps, Tol, budget
from sde_diffusion.sampling.named import (
    SAMPLERS,
    FormSampler,
    adaptive_ode,
    adaptive_sde,
    default,
    dpmpp_2m,
    heun,
    unipc,
)
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sampling.sampler import calls_of, most_steps
from sde_diffusion.sampling.spacings import log_snr, uniform
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.sde import EDM, VP
from solvers import RK4, AdamsBashforth, Euler, ExponentialAdams, FixedGrid, Heun, KeyedIncrements
from solvers.methods.dopri5 import Dopri5
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect


class Counted(ExactDenoiser):
    """An exact denoiser that counts."""

    calls = 0

    def forward(self, x_t, kernel, **condition):
        self.calls += 1
        return super().forward(x_t, kernel, **condition)


def drawn(sampler, denoiser, sde, shape=(5, 2), **given):
    reversal, solver = sampler.build(sde, denoiser, **given)
    return sample(reversal, solver, shape, noise=KeyedIncrements, chunk=shape[0], dtype=torch.float64)


FIXED = [name for name in SAMPLERS if not name.startswith("adaptive")]


@pytest.mark.parametrize("name", FIXED)
@pytest.mark.parametrize("nfe", [7, 20, 50])
def test_nfe_is_never_exceeded_and_nearly_reached(name, nfe):
    """Counted, the last denoising step included: short of nfe by less than a step."""
    denoiser, sampler = Counted(two()), SAMPLERS[name]()
    drawn(sampler, denoiser, VP(), nfe=nfe)
    assert nfe - sampler.evaluations < denoiser.calls <= nfe
    assert sampler.steps_for(nfe) == sampler.build(VP(), denoiser, nfe=nfe)[1].steps


@pytest.mark.parametrize("name", FIXED)
def test_its_own_budget_is_what_build_takes_without_one(name):
    sampler = SAMPLERS[name]()
    assert isinstance(sampler.budget, Calls)
    assert sampler.build(VP(), ExactDenoiser(two()))[1].steps == sampler.steps
    assert sampler.with_steps(7).build(VP(), ExactDenoiser(two()))[1].steps == 7
    assert sampler.with_steps(9).build(VP(), ExactDenoiser(two()), steps=3)[1].steps == 3


@pytest.mark.parametrize("method", [AdamsBashforth(4, RK4()), AdamsBashforth(3, Heun()), PredictEvaluateCorrect(4, Dopri5()),
                                    PredictEvaluateCorrect(2, RK4()), AdamsBashforth(4), RK4()], ids=repr)  # fmt: skip
@pytest.mark.parametrize("nfe", [4, 9, 24, 25])
def test_a_starter_is_paid_for(method, nfe):
    """The calls of a multistep method's start are counted, and one step more would cost too much."""
    steps = most_steps(method, nfe - 1)
    if steps:
        denoiser = Counted(two())
        drawn(FormSampler("x", probability_flow, method, log_snr()), denoiser, VP(), nfe=nfe)
        assert denoiser.calls == calls_of(method, steps) + 1 <= nfe
    assert calls_of(method, steps + 1) + 1 > nfe


def test_a_budget_that_pays_for_no_step_is_refused():
    with pytest.raises(
        ValueError, match=r"heun makes 2 calls for its first step and 1 for the last .* give at least 3"
    ):
        heun().build(VP(), ExactDenoiser(two()), nfe=2)
    assert [s.steps for s in heun().at_budgets([2, 3, 9])] == [1, 4]
    assert [str(s) for s in adaptive_ode().at_budgets([2, 3])] == ["adaptive_ode/tol=0.0001"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 3, "nfe": 4}, "give one of steps, nfe and tol, got steps and nfe"),
        ({"nfe": 0}, "nfe is a whole number from 1"),
        ({"steps": 2.5}, "steps is a whole number"),
        ({"steps": True}, "steps is a whole number"),
        ({"tol": 0.0}, "tol is a number above 0 and at most 0.1"),
        ({"tol": 1e-3}, "dpmpp_2m takes a number of steps, not a tolerance; adaptive_ode"),
        ({"data_std": 0.0}, "data_std must be above 0"),
    ],
)
def test_budgets_are_checked(given, says):
    with pytest.raises(ValueError, match=says):
        dpmpp_2m().build(VP(), ExactDenoiser(two()), **given)


def test_swapped_arguments_and_parts_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="takes the process and then the denoiser, got ExactDenoiser"):
        heun().build(ExactDenoiser(two()), VP())
    with pytest.raises(TypeError, match="Heun integrates ODE, and data_form is SemilinearODE"):
        FormSampler("mine", data_form, Heun(), log_snr()).build(VP(), ExactDenoiser(two()))
    with pytest.raises(ValueError, match="mine takes a number of steps"):
        FormSampler("mine", probability_flow, Euler(), uniform(), Tol(1e-3))


@pytest.mark.parametrize("sampler", [adaptive_ode(), adaptive_sde(), default()], ids=str)
def test_a_tolerance_is_kept(sampler):
    """A tighter tolerance costs more calls."""
    counts = []
    for tol in (1e-1, 1e-3):
        denoiser = Counted(two())
        reversal, solver = sampler.build(VP(), denoiser, tol=tol)
        sample(reversal, solver, (4, 2), chunk=4, dtype=torch.float64)
        counts.append(denoiser.calls)
    assert counts[0] < counts[1]


UNSCALED = ("ab4", "sa_solver")
"""Their equations hold a number in the units of the data: alpha + sigma, and the band of noise levels with noise."""


@pytest.mark.parametrize("name", [name for name in FIXED if name not in UNSCALED])
def test_data_of_another_scale_are_sampled_by_a_scaled_sampler(name):
    """x -> 100 x with the range of noise levels scaled alike: every sample scales, to rounding."""
    small, large = EDM(80.0, 0.002), EDM(8000.0, 0.2)
    law, scaled = Mixture([0.3, 0.7], [[-1.0], [1.0]], 0.04), Mixture([0.3, 0.7], [[-100.0], [100.0]], 400.0)
    sampler = SAMPLERS[name]()
    noise = NoiseOfSteps if sampler.build(small, ExactDenoiser(law))[0].equation.stochastic else KeyedIncrements

    def ends(sde, law, data_std):
        reversal, solver = sampler.build(sde, ExactDenoiser(law), nfe=20, data_std=data_std)
        return sample(
            reversal.with_prior(sde.prior(0.0, data_std**2)), solver, (7, 1), noise=noise, chunk=7, dtype=torch.float64
        )

    torch.testing.assert_close(ends(large, scaled, 100.0), 100 * ends(small, law, 1.0), rtol=1e-6, atol=1e-6)


class NoiseOfSteps(KeyedIncrements):
    """The same unit normals in every step, whatever the times."""

    def increment(self, t, s):
        return torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None] * abs(s - t) ** 0.5


def test_a_budget_is_one_of_three():
    assert budget() is None
    assert (budget(steps=3), budget(nfe=4), budget(tol=0.05)) == (Steps(3), Calls(4), Tol(0.05))
    assert [str(b) for b in (Steps(3), Calls(4), Tol(1e-4))] == ["3", "nfe=4", "tol=0.0001"]


def test_a_tuned_solver_is_a_sampler(tmp_path):
    table = tuple((0.1,) * (i + 1) for i in range(3))
    tuned = Tuned(2.0, 0.4, 0.001, (0.4, 0.2, 0.1), (1.0,) * 3, table, {"process": repr(VP())})
    tuned.save(tmp_path / "three.json")
    found = Tuned.load(tmp_path / "three.json")
    assert (found, found.label, str(found), found.steps) == (tuned, "three", "three/3", 3)
    for given in ({}, {"nfe": 3}, {"steps": 3}):
        assert found.build(VP(), ExactDenoiser(two()), **given)[1].steps == 3
    for given in ({"nfe": 4}, {"steps": 4}, {"tol": 1e-3}):
        with pytest.raises(ValueError, match="three is tuned to 3 evaluations"):
            found.build(VP(), ExactDenoiser(two()), **given)
    with pytest.raises(ValueError, match="three is tuned on VP"):
        found.build(EDM(), ExactDenoiser(two()))
    assert list(found.at_budgets([1, 100])) == [found]


def test_its_parts_are_spelt_out():
    assert dpmpp_2m().parts() == "data_form/ExponentialAdams(2)/log_snr"
    assert (unipc().label, unipc(3).label) == ("unipc", "unipc(k=3)")
    assert isinstance(dpmpp_2m().build(VP(), ExactDenoiser(two()))[1], FixedGrid)
    assert repr(ExponentialAdams(2)) in dpmpp_2m().parts()
