"""log p with error bars: it equals the exact log-density within its own stated error, and spends where the error is."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian, Mixture
from sde_diffusion.exact.problems import mixture64, two
from sde_diffusion.likelihood import flow_log_prob, log_likelihood, upwards
from sde_diffusion.plugins import implementations
from sde_diffusion.reversal import data_form, in_log_snr, noise_form, probability_flow, reverse_sde, velocity_form
from sde_diffusion.reversal.grids import quadratic_in_vp_time
from sde_diffusion.sde import EDM, VP, LinearSDE
from solvers import RK4, AdamsBashforth, FixedGrid
from solvers.adaptive import Adaptive
from solvers.divergence import ExactTrace, Hutchinson, HutchPlusPlus, XTrace, sphere
from solvers.methods.dopri5 import Dopri5
from tests.likelihood.laws import LAWS, bits, end, plane, rng, stopped, wide

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values()]


def answer(law, sde, x, tol, **options):
    """The log-density of x_{t_min}/alpha, from the law's own end."""
    return log_likelihood(sde, ExactDenoiser(law), x, tol, prior=end(law, sde), **options).without(
        "prior", "truncation"
    )


HARD = pytest.param("mixture64", marks=pytest.mark.slow)


@pytest.mark.parametrize("name", [*LAWS, HARD])
@pytest.mark.parametrize("sde", [VP(), pytest.param(EDM(), marks=pytest.mark.slow)], ids=lambda s: type(s).__name__)
def test_an_exact_trace_at_a_tight_tolerance(name, sde):
    """Below 1e-4 bits per dimension at each point at tol = 1e-5 (in fact below 2e-5), and within the stated errors."""
    law = mixture64() if name == "mixture64" else LAWS[name]()
    x = law.sample(4 if name == "mixture64" else 6, rng(1))
    found = answer(law, sde, x, 1e-5, divergence=ExactTrace())
    errors = found.value - stopped(law, sde, x)
    assert bits(errors, x).abs().max() < 2e-5
    assert bits(found.standard_error, x).max() < 1e-5
    assert (errors.abs() <= 4 * found.standard_error).all()


def covered(law, sde, n: int, divergence, seed: int = 5) -> float:
    x = law.sample(n, rng(1))
    found = answer(law, sde, x, 0.003, divergence=divergence, seed=seed)
    low, high = found.interval(0.95)
    exact = stopped(law, sde, x)
    assert found.errors["probes"].mean() > 5 * found.errors["tolerance"].mean(), "the solver hides the probes"
    return ((low < exact) & (exact < high)).double().mean().item()


def test_the_interval_covers_in_two_dimensions():
    """1000 points: 92% to 98% of the 95% intervals hold the exact value (the deviation of the share is 0.7%)."""
    assert 0.92 < covered(plane(), VP(), 1000, Hutchinson(16, sphere)) < 0.98


def test_the_interval_covers_in_64_dimensions():
    assert 0.92 < covered(wide(), VP(), 1000, Hutchinson(8)) < 0.98


@pytest.mark.slow
@pytest.mark.parametrize("divergence", [HutchPlusPlus(4, 8), XTrace(12)], ids=lambda d: type(d).__name__)
def test_the_interval_covers_by_deflation(divergence):
    """Of XTrace too, whose columns share their sketches."""
    assert 0.92 < covered(wide(), VP(), 600, divergence) < 0.98


@pytest.mark.parametrize(
    ("law", "divergence"),
    [
        pytest.param(two(), Hutchinson(16, sphere), marks=pytest.mark.slow),
        pytest.param(mixture64(), Hutchinson(16), marks=pytest.mark.weekly),
    ],
)
def test_the_interval_covers_for_mixtures(law, divergence):
    assert 0.92 < covered(law, VP(), 1000, divergence, seed=6) < 0.98


@pytest.mark.parametrize("sde", PROCESSES, ids=lambda sde: type(sde).__name__)
def test_every_process(sde):
    """A correlated Gaussian of rank-two events behind each process's own prior of its two moments."""
    law = Gaussian([[0.3], [-0.2]], [[0.5, 0.2], [0.2, 0.4]])
    x = law.sample(16, rng(2))
    found = answer(law, sde, x, 1e-4)
    errors = found.value - stopped(law, sde, x)
    assert bits(errors, x).abs().max() < 1e-4
    assert bits(found.errors["tolerance"], x).max() < 1e-4
    assert found.errors["probes"].max() == 0


def test_the_truncation_leads_to_the_law_itself():
    """The density at t = 0, fifty times closer than that at t_min."""
    law, sde = two(), VP()
    x = law.sample(4, rng(3))
    found = log_likelihood(sde, ExactDenoiser(law), x, 1e-5)
    raw = (found.without("truncation").value - law.log_prob(x)).abs().mean()
    assert (found.value - law.log_prob(x)).abs().mean() < raw / 50


def test_the_budget_goes_where_the_error_is():
    """Each point of a wide law meets its tolerance; the looser the tolerance, the fewer the calls, and point by point."""
    law, sde = wide(), VP()
    x = torch.cat((law.sample(24, rng(4)), 3 * law.sample(8, rng(5))))
    loose, tight = answer(law, sde, x, 0.1), answer(law, sde, x, 0.02)
    for found, tol in ((loose, 0.1), (tight, 0.02)):
        assert bits(found.standard_error, x).median() < tol
        assert bits(found.value - stopped(law, sde, x), x).square().mean().sqrt() < 1.5 * tol
    assert loose.terms["calls"].mean() < 0.5 * tight.terms["calls"].mean()
    assert tight.terms["calls"].unique().numel() > 1


def test_the_exact_trace_is_taken_where_it_is_cheaper():
    law, x = wide(), wide().sample(8, rng(6))
    found = answer(law, VP(), x, 1e-3)
    assert found.errors["probes"].max() == 0
    assert bits(found.value - stopped(law, VP(), x), x).abs().max() < 1e-3


def test_a_point_does_not_know_its_batch():
    law, x = wide(), wide().sample(4, rng(7))
    whole, parts = (answer(law, VP(), x, 0.1, block=block).value for block in (4, 2))
    torch.testing.assert_close(whole, parts, rtol=1e-9, atol=1e-9)


FORMS = {
    "VP time, adaptive": (probability_flow, lambda sde, form: Adaptive.tol(Dopri5(), 1e-6)),
    "velocity": (velocity_form, lambda sde, form: FixedGrid(AdamsBashforth(4, RK4()), 150, upwards(quadratic_in_vp_time(sde, form.clock)))),
    "data": (data_form, lambda sde, form: Adaptive.tol(Dopri5(), 1e-6)),
    "noise": (noise_form, lambda sde, form: Adaptive.tol(Dopri5(), 1e-6)),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_any_chart_clock_and_solver(name):
    form, solver = FORMS[name]
    sde, law = VP(), Mixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], 0.3)
    x, kernel = law.sample(6, rng(8)), sde.kernel(sde.t_min)
    reversal = form(sde, ExactDenoiser(law)).with_prior(end(law, sde))
    found = flow_log_prob(reversal, solver(sde, reversal), x)[:, 0]
    torch.testing.assert_close(found, law.through(kernel).log_prob(x), rtol=0, atol=2e-4)


def test_the_gradient_is_the_score():
    """d log p/dx through the solve is the score at t_min."""
    sde, law = VP(), Mixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], 0.3)
    x = law.sample(5, rng(9)).requires_grad_()
    form = velocity_form(sde, ExactDenoiser(law)).with_prior(end(law, sde))
    solver = FixedGrid(AdamsBashforth(4, RK4()), 120, upwards(in_log_snr(sde, form.clock)))
    (gradient,) = torch.autograd.grad(flow_log_prob(form, solver, x).sum(), x)
    torch.testing.assert_close(gradient, law.through(sde.kernel(sde.t_min)).score(x.detach()), rtol=1e-2, atol=1e-2)


def test_what_has_no_likelihood_is_refused():
    law, x = plane(), plane().sample(2, rng())
    with pytest.raises(ValueError, match="tolerance is positive"):
        log_likelihood(VP(), ExactDenoiser(law), x, 0.0)
    with pytest.raises(ValueError, match="NaN"):
        log_likelihood(VP(), ExactDenoiser(law), x * torch.nan)
    with pytest.raises(TypeError, match="ODE"):
        flow_log_prob(reverse_sde(VP(), ExactDenoiser(law)), Adaptive.tol(Dopri5(), 1e-3), x)
