"""Adaptive steps for each sample: the tolerance is kept, nobody depends on his neighbours, nothing is stepped over."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.exact.reference_flow import flow_end_point
from sde_diffusion.reversal import data_form, noise_form, probability_flow, sigma_form, velocity_form
from sde_diffusion.sde import EDM, VP
from solvers import ODE, FixedGrid, FreshIncrements, Heun, ItoSDE, SemilinearODE
from solvers.adaptive import Adaptive
from solvers.adaptive_loop import AdaptiveStepper, Interval, solve_adaptively
from solvers.elementwise import scale
from solvers.method import Attempt
from solvers.methods.bosh3 import Bosh3
from solvers.methods.dopri5 import Dopri5
from solvers.methods.tsit5 import Tsit5
from solvers.step_control import Before, Controller, Tolerance, root_mean_square

PAIRS = [Bosh3(), Dopri5(), Tsit5()]
SPANS = [(0.0, 2.0), (2.0, 0.0), (-0.5, -1.5)]


def states(*shape: int, seed: int = 0, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def pulled(x, t):
    """A nonlinear field with a known solution, sin(3 t) + 2 in every number: x' = y' + sin(y - x)."""
    y = scale(torch.sin(3 * t) + 2, torch.ones_like(x))
    return scale(3 * torch.cos(3 * t), torch.ones_like(x)) + torch.sin(y - x)


class Counted:
    """A field that remembers for how many samples, and at which times, it was asked."""

    def __init__(self, field):
        self.field, self.samples, self.times = field, 0, []

    def __call__(self, x, t):
        self.samples += len(x)
        self.times.append(t)
        return self.field(x, t)


# The tolerance.


@pytest.mark.parametrize("pair", PAIRS, ids=repr)
@pytest.mark.parametrize(("start", "stop"), SPANS)
def test_the_error_is_of_the_size_of_the_tolerance(pair, start, stop):
    """On an exact solution, in both directions: below 20 tolerances, at a cost that grows as tol^(-1/k)."""
    x = torch.full((3, 2), math.sin(3 * start) + 2, dtype=torch.float64)
    costs = []
    for tol in (1e-3, 1e-5, 1e-7):
        found = Adaptive.tol(pair, tol).solve(ODE(pulled), x, start, stop)
        assert (found.x - math.sin(3 * stop) - 2).abs().max() < 20 * tol
        costs.append(found.evaluations.double().mean().item())
    assert 0.6 < math.log(costs[2] / costs[1], 100) * pair.estimate < 1.3


def test_the_estimated_error_bounds_the_error_of_a_flow_that_contracts():
    """x' = y' + sin(y - x) brings neighbours together (upwards): the sum of the local errors is an upper bound."""
    x = torch.full((1, 1), 2.0, dtype=torch.float64)
    for tol in (1e-3, 1e-6):
        found = Adaptive.tol(Dopri5(), tol).solve(ODE(pulled), x, 0.0, 2.0)
        error = (found.x - math.sin(6) - 2).abs().max()
        assert error < found.error.item() < found.accepted.item() * tol * 4


def test_the_whole_of_a_semilinear_equation_is_integrated():
    """dy/dt = -2 y + cos t in closed form."""
    x = states(4, 3)
    equation = SemilinearODE(-2.0, lambda y, t: scale(torch.cos(t), torch.ones_like(y)))
    y = Adaptive.tol(Dopri5(), 1e-9)(equation, x, 0.0, 1.0)
    steady = [(2 * math.cos(t) + math.sin(t)) / 5 for t in (0.0, 1.0)]
    torch.testing.assert_close(y, steady[1] + (x - steady[0]) * math.exp(-2), rtol=0, atol=1e-8)


def test_gradients_pass():
    x = states(3, 2).requires_grad_()
    end = Adaptive.tol(Dopri5(), 1e-8)(ODE(lambda x, t: -2 * x), x, 0.0, 1.0)
    (slope,) = torch.autograd.grad(end.sum(), x)
    torch.testing.assert_close(slope, torch.full_like(x, math.exp(-2)), rtol=1e-6, atol=0)


# Nobody depends on his neighbours.


def swinging(rates):
    """x' = rate cos(rate t) - x^3, a rate for each sample: hard samples and easy ones. The first number is the rate."""

    def field(x, t):
        rate = x.reshape(len(x), -1)[:, :1].reshape(-1, *(1,) * (x.ndim - 1)) * 1.0
        push = rate * torch.cos(rate * t.reshape(rate.shape).to(x))
        pushed = push - x**3
        pushed.reshape(len(x), -1)[:, 0] = 0.0
        return pushed

    return ODE(field)


def with_rates(rates, event, dtype):
    x = states(len(rates), *event, dtype=dtype)
    x.reshape(len(rates), -1)[:, 0] = torch.tensor(rates, dtype=dtype)
    return x


@given(
    rates=st.lists(st.floats(0.1, 9.0), min_size=2, max_size=6),
    event=st.sampled_from([(2,), (3, 1, 2), (17,), (4, 5)]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    pair=st.sampled_from(PAIRS),
    data=st.data(),
)
@settings(max_examples=15)
def test_a_sample_is_the_same_to_the_bit_in_any_batch(rates, event, dtype, pair, data):
    """State, cost and estimated error, among any others and in any order."""
    x, equation = with_rates(rates, event, dtype), swinging(rates)
    solver = Adaptive.tol(pair, 1e-4)
    whole = solver.solve(equation, x, 0.0, 2.0)
    some = data.draw(st.lists(st.integers(0, len(rates) - 1), min_size=1, max_size=4))
    part = solver.solve(equation, x[some], 0.0, 2.0)
    for name in ("x", "evaluations", "accepted", "rejected", "error"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[some]), name


def test_a_hard_sample_pays_alone_and_every_evaluation_is_counted():
    """Rates from 1 to 100: the cost of each is its own, and the field is asked about nobody who has arrived."""
    x = with_rates([1.0, 10.0, 100.0], (2,), torch.float64)
    field = Counted(swinging(None).drift)
    found = Adaptive.tol(Dopri5(), 1e-5).solve(ODE(field), x, 0.0, 2.0)
    assert field.samples == found.evaluations.sum()
    assert torch.equal(found.evaluations, 1 + 6 * (found.accepted + found.rejected))
    easy, middle, hard = found.evaluations.tolist()
    assert 4 * easy < 2 * middle < hard
    assert f"most {hard}" in str(found)


@pytest.mark.parametrize(("start", "stop"), SPANS)
def test_the_field_is_never_asked_outside_the_span(start, stop):
    field = Counted(pulled)
    Adaptive.tol(Dopri5(), 1e-3)(ODE(field), states(5, 2), start, stop)
    times = torch.cat(field.times)
    assert times.dtype == torch.float64
    assert times.min() >= min(start, stop)
    assert times.max() <= max(start, stop)
    assert (times == stop).any()


# Sound in its clock.

CLOCKS = [probability_flow, velocity_form, data_form, noise_form, sigma_form]


def distances(make, sde, law, solver, points=48):
    """How far each point ends from where the exact flow takes it, in root mean square, and the evaluations."""
    x = sde.prior().from_noise(states(points, 2))
    form = make(sde, ExactDenoiser(law))
    found = solver(form.equation, form.to_chart(x, form.start), form.start, form.stop)
    gap = form.from_chart(found, form.stop) - reference(sde, law, points)
    return gap.square().mean(1).sqrt()


_REFERENCES = {}


def reference(sde, law, points):
    key = (type(sde), len(law.weights), points)
    if key not in _REFERENCES:
        x = sde.prior().from_noise(states(points, 2))
        _REFERENCES[key] = flow_end_point(law, sde.kernel, x, sde.horizon, sde.t_min, tol=1e-8)
    return _REFERENCES[key]


@pytest.mark.parametrize("pair", [Bosh3(), Dopri5()], ids=repr)
@pytest.mark.parametrize("sde", [VP(), EDM()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("make", CLOCKS, ids=lambda f: f.__name__)
def test_a_loose_tolerance_does_not_step_over_the_low_noise_range(make, sde, pair):
    """In every clock, sigma too: half of the points within 6 tolerances of the truth, at 3e-2 and 1e-2."""
    for tol in (3e-2, 1e-2):
        gaps = distances(make, sde, two(), Adaptive.tol(pair, tol))
        assert gaps.median() < 6 * tol, tol


@pytest.mark.parametrize(
    ("make", "sde", "tol"),
    [
        *((make, VP(), 1e-1) for make in (probability_flow, velocity_form, data_form, noise_form)),
        *((make, EDM(), 1e-1) for make in (velocity_form, data_form, noise_form)),
        *((sigma_form, sde, 1e-2) for sde in (VP(), EDM())),
    ],
    ids=lambda v: getattr(v, "__name__", None) or type(v).__name__,
)
def test_the_law_at_the_end_is_right(make, sde, tol):
    """At a tenth in the clocks that are meant for it, at a hundredth in sigma: the modes' shares and their width.

    The modes' standard deviation is 0.2; none of 48 points changes its mode but one, and the root mean square distance
    to the mode's centre is that of the exact end points to two fifths.
    """
    law, exact = two(), reference(sde, two(), 48)
    form = make(sde, ExactDenoiser(law))
    x = form.to_chart(sde.prior().from_noise(states(48, 2)), form.start)
    found = form.from_chart(Adaptive.tol(Dopri5(), tol)(form.equation, x, form.start, form.stop), form.stop)
    modes, truth = law.classify(found), law.classify(exact)
    assert (modes != truth).sum() <= 1
    widths = [(z - law.centres[k]).square().mean().sqrt() for z, k in ((found, modes), (exact, truth))]
    assert abs(widths[0] / widths[1] - 1) < 0.4


def test_the_larger_state_for_a_scale_would_step_over_it(monkeypatch):
    """The usual norm, atol + rtol max(|x|, |x'|), in sigma from 80: what the guard is there for."""

    def usual(self, error, before, after):
        return error / self.at(torch.maximum(before, after))

    solver = Adaptive.tol(Dopri5(), 3e-2)
    guarded = distances(sigma_form, EDM(), two(), solver).median()
    monkeypatch.setattr(Tolerance, "quotient", usual)
    assert distances(sigma_form, EDM(), two(), solver).median() > 10 * guarded


@given(centre=st.floats(0.3, 0.7), width=st.floats(0.06, 0.12))
def test_a_bump_in_a_field_that_is_zero_elsewhere_is_seen(centre, width):
    """Nothing is known of it at the start, where the estimated error is zero for any step."""
    equation = ODE(lambda x, t: scale(torch.exp(-(((t - centre) / width) ** 2) / 2), torch.ones_like(x)))
    y = Adaptive.tol(Dopri5(), 1e-3)(equation, torch.ones(1, 1, dtype=torch.float64), 0.0, 1.0)
    assert abs(y.item() - 1 - width * math.sqrt(2 * math.pi)) < 0.02


# What it costs, against a fixed grid of the same method.


@pytest.mark.parametrize("make", [probability_flow, velocity_form, noise_form], ids=lambda f: f.__name__)
def test_it_costs_no_more_than_a_fixed_grid(make):
    """A fixed grid at 1/1.2 of its cost has a larger error (benchmarks/adaptive.py measures the whole curve)."""
    sde, law = VP(), ring8()
    form = make(sde, ExactDenoiser(law))
    x = form.to_chart(sde.prior().from_noise(states(48, 2)), form.start)
    found = Adaptive.tol(Dopri5(), 1e-5).solve(form.equation, x, form.start, form.stop)
    ode = form.equation
    if isinstance(ode, SemilinearODE):
        ode = ODE(lambda y, t: form.equation.rate * y + form.equation.forcing(y, t))
    steps = int(found.evaluations.double().mean() / 1.2 / Dopri5().evaluations)
    fixed = FixedGrid(Dopri5(), steps)(ode, x, form.start, form.stop)
    exact = reference(sde, law, 48)
    mine, theirs = ((form.from_chart(y, form.stop) - exact).square().mean().sqrt() for y in (found.x, fixed))
    assert mine < theirs


def test_it_costs_less_where_samples_differ():
    """Rates from 1 to 30 in one batch: at the same mean cost, a fixed grid's error is more than 30 times as large."""
    x = with_rates([1.0, 2.0, 3.0, 30.0], (2,), torch.float64)
    equation = swinging(None)
    exact = Adaptive.tol(Dopri5(), 1e-11)(equation, x, 0.0, 2.0)
    found = Adaptive.tol(Dopri5(), 1e-5).solve(equation, x, 0.0, 2.0)
    steps = math.ceil(found.evaluations.double().mean() / Dopri5().evaluations)
    fixed = FixedGrid(Dopri5(), steps)(ODE(lambda x, t: equation.drift(x, x.new_full((len(x),), t))), x, 0.0, 2.0)
    assert (fixed - exact).square().mean() > 1000 * (found.x - exact).square().mean()


# The control of the step.


@given(st.lists(st.integers(1, 6), max_size=3), st.integers(1, 4))
def test_root_mean_square(event, batch):
    x = states(batch, *event)
    expected = x.reshape(batch, -1).square().mean(1).sqrt()
    torch.testing.assert_close(root_mean_square(x), expected, rtol=1e-14, atol=0)


NONE = Before(torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64))


@given(quotient=st.floats(0.02, 20.0), k=st.sampled_from([3, 5]))
def test_the_elementary_controller_hits_its_target(quotient, k):
    """With e ~ h^k and no memory, the quotient at the next step is S^k, whatever it was."""
    controller = Controller(k, memory=0.0, shortest=1e-3, longest=1e3)
    q = torch.tensor([quotient], dtype=torch.float64)
    h = controller.next(torch.ones(1, dtype=torch.float64), q, NONE, torch.tensor([False]))
    assert math.isclose((q * h**k).item(), controller.safety**k, rel_tol=1e-9)


@given(k=st.sampled_from([3, 5]), growth=st.floats(0.05, 20.0), ratio=st.floats(0.5, 2.0))
def test_a_difficulty_that_grows_is_taken_to_go_on_growing(k, growth, ratio):
    """q = c h^k with c growing by `growth` a step: the next quotient is S^k where c grows, smaller by it where not."""
    controller = Controller(k, memory=0.0, trend=1.0, shortest=1e-3, longest=1e3)
    past, step = torch.tensor([0.01], dtype=torch.float64), torch.tensor([ratio], dtype=torch.float64)
    q = past * growth * step**k
    h = controller.next(step, q, Before(torch.ones_like(step), past), q > 1)
    if q.item() <= 1:
        assert math.isclose((past * growth * max(growth, 1.0) * h**k).item(), controller.safety**k, rel_tol=1e-9)


def test_the_first_step_of_an_exponential_is_neither_rejected_nor_timid():
    """x' = -x from 1, for every pair and tolerance: a quotient between a thousandth and 1, unless the span forbids it."""
    one, t = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    for pair in PAIRS:
        for tol in (1e-1, 1e-3, 1e-5, 1e-7):
            tolerance = Tolerance(tol, tol)
            h = Controller(pair.estimate).first(tolerance, one, -one, 100.0)
            attempt = pair.attempt(DECAY, one, t, t + h, -one)
            sizes = (root_mean_square(y) for y in (attempt.error, one, attempt.x))
            assert 1e-3 < tolerance.quotient(*sizes).item() < 1, (pair, tol)


def test_the_first_step_of_a_field_that_is_zero_is_a_quarter_of_the_span():
    """Equation (3) has no length for it; nor is it longer for a field that is almost zero."""
    one = torch.ones(2, 3, dtype=torch.float64)
    for field in (0 * one, 1e-30 * one):
        assert Controller(3).first(Tolerance(1e-3, 1e-3), one, field, 2.0).tolist() == [0.5, 0.5]


def test_a_rejected_step_shrinks_and_the_next_does_not_grow():
    controller, one = Controller(5), torch.ones(3, dtype=torch.float64)
    quotients = torch.tensor([1.01, math.inf, 1e-8], dtype=torch.float64)
    steps = controller.next(one, quotients, Before(one, one), torch.tensor([False, False, True]))
    assert steps[0] < 0.95
    assert steps[1:].tolist() == [controller.shortest, 1.0]


def test_a_stage_that_is_not_finite_makes_the_step_shorter():
    """x' = -50 x, undefined below zero, where the first attempts end."""
    found = Adaptive.tol(Dopri5(), 1e-6).solve(ODE(lambda x, t: -50 * x.sqrt() ** 2), states(3, 1).abs(), 0.0, 1.0)
    assert found.rejected.min() >= 1
    torch.testing.assert_close(found.x, torch.zeros_like(found.x), rtol=0, atol=1e-5)


class Coarse(AdaptiveStepper):
    """A pair that lands on quarters only, and whose steps are a little too wrong."""

    controller, evaluations = Controller(2), 2

    equation = ODE(lambda x, t: x)

    def keep(self, rows):
        return self

    def attempt(self, x, t, s, first):
        return Attempt(x, 1.001e-3 * torch.ones_like(x), x)

    def land(self, s):
        return (4 * s).ceil() / 4


def test_a_step_rejected_at_the_same_length_twice_is_refused():
    road = Interval(0.0, 1.0, Tolerance(0.0, 1e-3), 50)
    with pytest.raises(ArithmeticError, match="too short to be resolved"):
        solve_adaptively(Coarse(), X, road)


def test_nothing_to_do():
    x = states(3, 2)
    assert torch.equal(Adaptive(Dopri5()).solve(ODE(pulled), x, 1.0, 1.0).x, x)
    assert len(Adaptive(Dopri5())(ODE(pulled), x[:0], 0.0, 1.0)) == 0


X = torch.ones(2, 1, dtype=torch.float64)
DECAY = ODE(lambda x, t: -x)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: Adaptive(Heun()), TypeError, "estimates its error.*Dopri5"),
        (lambda: Adaptive.tol(Dopri5(), 0.0), ValueError, "not both 0"),
        (lambda: Adaptive.tol(Dopri5(), math.nan), ValueError, "begin with"),
        (lambda: Adaptive(Dopri5(), rtol=0.5), ValueError, "rtol <= 0.1"),
        (lambda: Adaptive(Dopri5())(ItoSDE(lambda x, t: x, lambda t: t), X, 0.0, 1.0), TypeError, "AdaptiveSDE"),
        (
            lambda: Adaptive(Dopri5())(DECAY, X, 0.0, 1.0, FreshIncrements.like(X, 0, 0.0, 1.0)),
            TypeError,
            "leave noise",
        ),
        (lambda: Adaptive(Dopri5())(DECAY, X.long(), 0.0, 1.0), TypeError, "floating-point"),
        (lambda: Adaptive(Dopri5())(DECAY, X, 0.0, math.inf), ValueError, "finite times"),
        (lambda: Adaptive(Dopri5(), max_attempts=0)(DECAY, X, 0.0, 1.0), ValueError, "at least one"),
        (
            lambda: Adaptive(Dopri5(), max_attempts=5)(DECAY, X, 0.0, 99.0),
            ArithmeticError,
            "sample 0 .* 5 attempts.*1 more",
        ),
        (
            lambda: Adaptive(Dopri5())(ODE(lambda x, t: x / 0 * 0), X, 0.0, 1.0),
            FloatingPointError,
            "at the start, t = 0",
        ),
        (lambda: Adaptive(Dopri5())(ODE(lambda x, t: x**2), X, 0.0, 2.0), ArithmeticError, "stop short of a singular"),
    ],
)
def test_refused_in_one_sentence(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
