"""torchdiffeq behind our call: exact answers in both directions, within the span, and what is refused."""

from __future__ import annotations

import math
import sys

import pytest
import torch

from solvers import ODE, FreshIncrements, ItoSDE, SemilinearODE
from solvers.backends.torchdiffeq import METHODS, Torchdiffeq

SPANS = [(0.0, 1.5), (1.5, 0.0), (-0.5, -2.0)]
X = torch.ones(2, 1, dtype=torch.float64)
DECAY = ODE(lambda x, t: -x)


@pytest.fixture(autouse=True)
def engine():
    pytest.importorskip("torchdiffeq", reason="pip install torchdiffeq")


def states(*shape: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("start", "stop"), SPANS)
def test_decay_with_a_source(method, start, stop):
    """dx/dt = t - x has x(s) = s - 1 + (x(t) - t + 1) e^{t - s}; no time outside the span is asked, each call counted."""
    x, times = states(3, 2), []
    found = Torchdiffeq(method, 1e-6, 1e-6).solve(ODE(lambda x, t: times.append(t) or t - x), x, start, stop)
    exact = stop - 1 + (x - start + 1) * math.exp(start - stop)
    torch.testing.assert_close(found.state, exact, rtol=1e-4, atol=5e-5)
    assert min(start, stop) <= min(times) <= max(times) <= max(start, stop)
    assert found.evaluations == len(times)


def test_the_semilinear_form_and_any_event_shape():
    x = states(2, 3, 1, 2, dtype=torch.float32)
    y = Torchdiffeq()(SemilinearODE(-2.0, lambda y, t: torch.full_like(y, 3.0)), x, 0.0, 1.0)
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, 1.5 + (x - 1.5) * math.exp(-2), rtol=0, atol=1e-5)


def test_gradients_pass():
    x = states(3, 2).requires_grad_()
    (slope,) = torch.autograd.grad(Torchdiffeq()(ODE(lambda x, t: -2 * x), x, 0.0, 1.0).sum(), x)
    torch.testing.assert_close(slope, torch.full_like(x, math.exp(-2)), rtol=1e-5, atol=0)


def test_it_couples_the_batch():
    """As its docstring says: a hard neighbour changes a sample's rounding, within the tolerance."""
    x = torch.ones(2, dtype=torch.float64)
    alone = Torchdiffeq()(DECAY, x[:1], 0.0, 1.0)
    beside = Torchdiffeq()(ODE(lambda x, t: -x * torch.tensor([1.0, 50.0])), x, 0.0, 1.0)[:1]
    assert not torch.equal(alone, beside)
    torch.testing.assert_close(alone, beside, rtol=0, atol=1e-5)


def test_nothing_to_do():
    assert torch.equal(Torchdiffeq()(DECAY, X, 1.0, 1.0), X)


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchdiffeq", None)
    with pytest.raises(ImportError, match="pip install torchdiffeq"):
        Torchdiffeq()(DECAY, X, 0.0, 1.0)


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: Torchdiffeq("dopri"), ValueError, "did you mean 'dopri"),
        (lambda: Torchdiffeq("euler"), ValueError, "known: dopri8"),
        (lambda: Torchdiffeq(rtol=-1.0), ValueError, "begin with 1e-6"),
        (lambda: Torchdiffeq()(ItoSDE(lambda x, t: x, lambda t: t), X, 0.0, 1.0), TypeError, "got ItoSDE"),
        (lambda: Torchdiffeq()(DECAY, X, 0.0, 1.0, FreshIncrements.like(X, 0, 0.0, 1.0)), TypeError, "leave noise out"),
        (lambda: Torchdiffeq()(DECAY, X.long(), 0.0, 1.0), TypeError, "floating-point"),
        (lambda: Torchdiffeq()(DECAY, X, 0.0, math.inf), ValueError, "finite times"),
        (lambda: Torchdiffeq()(ODE(lambda x, t: x**2), X, 0.0, 2.0), ArithmeticError, "did not reach t = 2"),
    ],
)
def test_refused_in_one_sentence(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
