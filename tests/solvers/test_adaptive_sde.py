"""Adaptive steps on one Brownian path: pathwise convergence, an unbiased law, and what redrawing would do to it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import reverse_sde
from sde_diffusion.sde import VP
from solvers import (
    ODE,
    DiagonalSDE,
    FixedGrid,
    FreshIncrements,
    ItoSDE,
    KeyedIncrements,
    StochasticHeun,
    WienerTree,
)
from solvers.adaptive_sde import AdaptiveSDE, EulerHeun
from solvers.elementwise import scale
from solvers.wiener import PathSpec

SPANS = {"ascending": (0.0, 1.0), "descending": (1.0, 0.0)}
both_directions = pytest.mark.parametrize(("start", "stop"), SPANS.values(), ids=SPANS)


def wild(start: float = 0.0, stop: float = 1.0) -> ItoSDE:
    """Pulled back in the direction of the walk, and torn apart in between."""
    sign = math.copysign(1.0, stop - start)
    return ItoSDE(lambda x, t: sign * (torch.sin(3 * x) - x), lambda t: 1 + t / 2)


WILD = wild()


def states(*shape: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


# Path by path.


@both_directions
def test_each_sample_converges_to_the_solution_on_its_own_path(start, stop):
    """Against 1024 equal steps on the same tree; a hundredth of the tolerance is worth three quarters of the error."""
    x, equation = states(24, 1), wild(start, stop)
    tree = WienerTree.like(x, 3, start, stop)
    fine = FixedGrid(StochasticHeun(), 1024)(equation, x, start, stop, tree)
    errors = []
    for tol in (1e-1, 1e-2, 1e-3):
        found = AdaptiveSDE.tol(tol).solve(equation, x, start, stop, tree)
        errors.append((found.x - fine).square().mean().sqrt().item())
        assert 0.1 < errors[-1] / found.error.square().mean().sqrt().item() < 3
    assert errors[2] < 0.25 * errors[0]
    assert errors[2] < 0.5 * errors[1] < 0.02


@both_directions
def test_pure_noise_is_exact_in_the_fewest_steps(start, stop):
    """dx = dt + dW: x + (stop - start) + W(stop) - W(start), with nothing to reject."""
    x = states(3, 2, 2)
    tree = WienerTree.like(x, 0, start, stop)
    found = AdaptiveSDE.tol(1e-3).solve(ItoSDE(lambda x, t: torch.ones_like(x), lambda t: 1.0), x, start, stop, tree)
    torch.testing.assert_close(found.x, x + (stop - start) + tree.increment(start, stop), rtol=0, atol=1e-12)
    assert found.rejected.sum() == 0
    assert found.accepted.max() <= 10


def test_stiff_noise_free_decay_reaches_its_end():
    """g = 0: an ordinary equation, x' = -30 x + 30 cos t, by Heun's rule in steps of its own."""
    x = states(4, 1)
    equation = ItoSDE(lambda x, t: scale(30 * torch.cos(t), torch.ones_like(x)) - 30 * x, lambda t: 0.0)
    found = AdaptiveSDE.tol(1e-4)(equation, x, 0.0, 1.0, WienerTree.like(x, 0, 0.0, 1.0))
    steady = (900 * math.cos(1) + 30 * math.sin(1)) / 901
    torch.testing.assert_close(found, torch.full_like(x, steady), rtol=0, atol=1e-3)


# The law.

N = 5000
PULL = ItoSDE(lambda x, t: -x, lambda t: 1.0)
VARIANCE = (1 - math.exp(-2)) / 2


class Redrawing(WienerTree):
    """What a generator would do: other noise at every question. A tree in name only."""

    generator = torch.Generator()

    def increment(self, t, s):
        t, s = self.spec.times(t, s)
        z = torch.randn(self.spec.shape, generator=self.generator, dtype=self.spec.dtype)
        return scale(abs(s - t) ** 0.5, z)


def scores(kind) -> tuple[float, float]:
    """Mean and variance of dx = -x dt + dW from 0 to 1, in standard errors from the exact ones, at tolerance 0.03."""
    x = torch.zeros(N, 1, dtype=torch.float64)
    y = AdaptiveSDE.tol(0.03)(PULL, x, 0.0, 1.0, kind.like(x, 11, 0.0, 1.0))
    mean = y.mean().item() / math.sqrt(VARIANCE / N)
    return mean, (y.var().item() / VARIANCE - 1) / math.sqrt(2 / N)


def test_the_law_is_unbiased():
    """5000 paths; each score is standard normal: beyond 4 with probability 6e-5. One seed, fixed."""
    mean, variance = scores(WienerTree)
    assert abs(mean) < 4
    assert abs(variance) < 4


def test_redrawn_noise_would_bias_it():
    """The same solver on noise that is drawn again after a rejection: small increments survive, 14% of the variance
    is lost."""
    Redrawing.generator.manual_seed(0)
    assert scores(Redrawing)[1] < -5


def test_the_reverse_equation_lands_on_the_law():
    """`two` under VP, 300 points: the share of the first mode and the spread within modes, 4 standard errors each."""
    sde, law = VP(), two()
    form = reverse_sde(sde, ExactDenoiser(law))
    x = form.prior.from_noise(states(300, 2))
    y = AdaptiveSDE.tol(0.03)(form.equation, x, form.start, form.stop, WienerTree.like(x, 5, form.start, form.stop))
    mode = law.classify(y)
    assert abs((mode == 0).double().mean() - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 300)
    kernel = sde.kernel(sde.t_min)
    spread = (y - kernel.alpha * law.centres[mode]).square().mean() / (kernel.alpha**2 * 0.04 + kernel.sigma**2)
    assert abs(spread - 1) < 4 * math.sqrt(2 / 600)


# Where steps end.


@given(
    u=st.floats(1e-6, 1 - 1e-6),
    log_steps=st.integers(3, 10),
    span=st.sampled_from([(0.0, 1.0), (1.0, 1e-3), (-2.0, 5.0)]),
)
def test_steps_end_where_the_tree_knows_its_path_exactly(u, log_steps, span):
    """At the ends of leaves a coarse tree and a fine one are the same path; inside a leaf they are not."""
    x, (start, stop) = torch.zeros(1, 1, dtype=torch.float64), span
    spec = PathSpec.like(x, 1, start, stop)
    coarse, fine = WienerTree(spec, 2**log_steps), WienerTree(spec, 2**14)
    s = torch.tensor([start + u * (stop - start)], dtype=torch.float64)
    landed = EulerHeun(WILD, coarse).land(s)
    assert abs(landed - s).item() <= 2.0 ** -(log_steps + 1) * min(u, 1 - u) * abs(stop - start) * (1 + 1e-6)
    gap = coarse.increment(start, landed) - fine.increment(start, landed)
    assert abs(gap).item() < 1e-6


def test_a_tolerance_beyond_the_tree_says_so():
    x = states(2, 1)
    tree = WienerTree(PathSpec.like(x, 0, 0.0, 1.0), max_steps=4)
    with pytest.raises(ArithmeticError, match="WienerTree with more max_steps"):
        AdaptiveSDE.tol(1e-4)(WILD, x, 0.0, 1.0, tree)


# Nobody depends on his neighbours.


@given(
    batch=st.integers(2, 5),
    event=st.sampled_from([(1,), (3,), (2, 1, 5)]),
    dtype=st.sampled_from([torch.float64, torch.float32]),
    data=st.data(),
)
@settings(max_examples=8)
def test_a_sample_is_the_same_to_the_bit_in_any_batch(batch, event, dtype, data):
    """State, cost and error: a path belongs to the sample's number."""
    x, solver = states(batch, *event, dtype=dtype), AdaptiveSDE.tol(3e-2)
    whole = solver.solve(WILD, x, 0.0, 1.0, WienerTree.like(x, 3, 0.0, 1.0))
    some = data.draw(st.lists(st.integers(0, batch - 1), min_size=1, max_size=3))
    tree = WienerTree(PathSpec.like(x[some], 3, 0.0, 1.0, torch.tensor(some)))
    part = solver.solve(WILD, x[some], 0.0, 1.0, tree)
    for name in ("x", "evaluations", "accepted", "rejected", "error"):
        assert torch.equal(getattr(part, name), getattr(whole, name)[some]), name


def test_every_evaluation_is_counted_and_a_rejection_costs_one():
    asked = []

    def drift(x, t):
        asked.append(len(x))
        return WILD.drift(x, t)

    x = states(6, 1)
    found = AdaptiveSDE.tol(1e-2).solve(ItoSDE(drift, WILD.diffusion), x, 0.0, 1.0, WienerTree.like(x, 3, 0.0, 1.0))
    assert sum(asked) == found.evaluations.sum()
    assert torch.equal(found.evaluations, 2 * found.accepted + found.rejected)
    assert found.rejected.sum() > 0


X = torch.ones(2, 1, dtype=torch.float64)
TREE = WienerTree.like(X, 0, 0.0, 1.0)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: AdaptiveSDE.tol(0.0), ValueError, "begin with"),
        (lambda: AdaptiveSDE()(WILD, X, 0.0, 1.0), TypeError, "pass noise="),
        (lambda: AdaptiveSDE()(WILD, X, 0.0, 1.0, FreshIncrements.like(X, 0, 0.0, 1.0)), TypeError, "biases the "),
        (
            lambda: AdaptiveSDE()(WILD, X, 0.0, 1.0, KeyedIncrements.like(X, 0, 0.0, 1.0)),
            TypeError,
            "pass a WienerTree",
        ),
        (lambda: AdaptiveSDE()(ODE(lambda x, t: x), X, 0.0, 1.0), TypeError, "Adaptive for a deterministic"),
        (lambda: AdaptiveSDE()(DiagonalSDE(WILD.drift, WILD.drift), X, 0.0, 1.0, TREE), TypeError, "noise is additive"),
        (lambda: AdaptiveSDE()(WILD, X, 0.0, 2.0, TREE), ValueError, "construct it over all times"),
        (lambda: AdaptiveSDE(max_attempts=2)(WILD, X, 0.0, 1.0, TREE), ArithmeticError, "2 attempts"),
    ],
)
def test_refused_in_one_sentence(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
