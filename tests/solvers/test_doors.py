"""What the loop, the grids and the methods refuse, in one sentence that says what to do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from solvers import (
    ODE,
    AdamsBashforth,
    Euler,
    EulerMaruyama,
    ExponentialAdams,
    FixedGrid,
    FreshIncrements,
    Heun,
    ItoSDE,
    SemilinearODE,
    TargetFamily,
    fixed,
    geometric,
    integrate,
    power,
    through,
    uniform,
)
from solvers.elementwise import along, axpy, combine, scale
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.multistep import exponential_weights

X = torch.ones(2, 1)
DECAY = ODE(lambda x, t: -x)
NOISY = ItoSDE(lambda x, t: -x, lambda t: 1.0)
PATH = FreshIncrements.like(X, seed=0, start=0.0, stop=1.0)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: FixedGrid(Euler(), 2)(NOISY, X, 0.0, 1.0, PATH), TypeError, "Euler integrates ODE, got ItoSDE"),
        (lambda: FixedGrid(EulerMaruyama(), 2)(DECAY, X, 0.0, 1.0), TypeError, "ItoSDE or DiagonalSDE, got ODE"),
        (lambda: FixedGrid(EulerMaruyama(), 2)(NOISY, X, 0.0, 1.0), TypeError, "no noise was given; pass noise="),
        (lambda: FixedGrid(Euler(), 2)(DECAY, X, 0.0, 1.0, PATH), TypeError, "deterministic and noise was given"),
        (lambda: FixedGrid(Euler, 2)(DECAY, X, 0.0, 1.0), TypeError, r"pass an instance such as Heun\(\)"),
        (lambda: FixedGrid(Euler(), 0)(DECAY, X, 0.0, 1.0), ValueError, "at least one step, got 0"),
        (lambda: FixedGrid(Euler(), 2)(DECAY, X, 1.0, 1.0), ValueError, "remove repeated times"),
        (lambda: FixedGrid(Euler(), 2)(DECAY, X.long(), 0.0, 1.0), TypeError, r"got torch\.int64"),
        (lambda: FixedGrid(Euler(), 2)(DECAY, torch.tensor(1.0), 0.0, 1.0), ValueError, "add the batch axis"),
        (lambda: FixedGrid(Euler(), 2)(DECAY, X * math.nan, 0.0, 1.0), ValueError, "NaN or infinity"),
        (lambda: list(integrate(Euler(), DECAY, X, torch.tensor([0.0, math.nan, 1.0]))), ValueError, "must be finite"),
        (lambda: list(integrate(Euler(), DECAY, X, torch.zeros(2, 2))), ValueError, "a vector of at least two times"),
        (lambda: power(7)(-1.0, 1.0, 3), ValueError, "times >= 0"),
        (lambda: geometric(0.0, 1.0, 3), ValueError, "times > 0"),
        (lambda: fixed([0.0, 0.5, 1.0])(0.0, 1.0, 3), ValueError, "has 2 steps, 3 were asked"),
        (lambda: fixed([0.0, 0.5, 1.0])(0.0, 2.0, 2), ValueError, "give a grid with these ends"),
        (lambda: AdamsBashforth(0), ValueError, "1 to 6 fields"),
        (lambda: ExponentialAdams(7), ValueError, "1 to 6 fields"),
        (lambda: PredictorCorrector(EulerMaruyama(), snr=0.0), ValueError, "snr > 0"),
        (
            lambda: FixedGrid(PredictorCorrector(Heun()), 2)(
                TargetFamily(NOISY, lambda x, t: -x, lambda t: 1.0), X, 0.0, 1.0, PATH
            ),
            TypeError,
            "predictor Heun does not integrate ItoSDE",
        ),
        (
            lambda: list(
                integrate(ExponentialAdams(2), SemilinearODE(1.0, lambda y, t: -y), X, torch.tensor([0.0, math.inf]))
            ),
            ValueError,
            "only a decaying linear part",
        ),
        (lambda: along(torch.ones(3), X), ValueError, "one time per sample"),
    ],
)
def test_refused(call, error, says):
    with pytest.raises(error, match=says) as caught:
        call()
    assert "\n" not in str(caught.value)


@given(st.floats(0.01, 5), st.floats(0.01, 5), st.integers(1, 30), st.sampled_from(["uniform", "power", "geometric"]))
def test_spacings_keep_their_ends_and_their_law(a, b, steps, name):
    if abs(a - b) < 1e-3:
        return
    spacing, chart = {
        "uniform": (uniform, lambda t: t),
        "power": (power(7), lambda t: t ** (1 / 7)),
        "geometric": (geometric, math.log),
    }[name]
    grid = spacing(a, b, steps)
    assert grid.dtype == torch.float64
    assert (grid[0].item(), grid[-1].item(), len(grid)) == (a, b, steps + 1)
    charted = torch.tensor([chart(t) for t in grid.tolist()], dtype=torch.float64).diff()
    torch.testing.assert_close(charted, charted.mean().expand_as(charted), rtol=1e-6, atol=1e-9)


def test_through_carries_any_spacing():
    grid = through(math.log, math.exp, power(2))(1.0, math.e**4, 4)
    torch.testing.assert_close(grid.log().sqrt(), torch.linspace(0, 2, 5, dtype=torch.float64))


@given(st.floats(-3, 3), st.floats(0.1, 2), st.integers(0, 3))
def test_exponential_weights_integrate_polynomials_exactly(rate, h, degree):
    """sum_j w_j p(t_j) = integral of e^{a(s - tau)} p(tau), for polynomials up to the formula's degree, by quadrature."""
    from scipy.integrate import quad

    nodes = (1.0, 0.6, 0.1, -0.2)
    weights = exponential_weights(np.array(nodes), np.array(1.0), np.array(1.0 + h), rate)
    exact = quad(lambda tau: math.exp(rate * (1 + h - tau)) * tau**degree, 1, 1 + h, epsabs=1e-13, epsrel=1e-13)[0]
    assert sum(w * node**degree for w, node in zip(weights, nodes, strict=True)) == pytest.approx(exact, rel=1e-8)


def test_a_coefficient_for_each_sample_is_a_coefficient_for_all():
    """Every elementwise rule with a (B,) coefficient equals the loop over samples with floats."""
    x, y = torch.randn(2, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    a, b = torch.tensor([0.3, -1.0, 2.0]).double(), torch.tensor([1.5, 0.2, -0.4]).double()
    for i in range(3):
        p, q, one = a[i].item(), b[i].item(), slice(i, i + 1)
        torch.testing.assert_close(scale(a, x)[one], p * x[one])
        torch.testing.assert_close(axpy(x, a, y)[one], x[one] + p * y[one])
        torch.testing.assert_close(combine(a, x, b, y)[one], p * x[one] + q * y[one])


def test_a_method_keeps_no_state():
    """Two interleaved integrations share one method and get what each gets alone."""
    method, grid = ExponentialAdams(2), uniform(0.0, 1.0, 6)
    equation = SemilinearODE(-1.0, lambda y, t: torch.sin(y + t))
    alone = [list(integrate(method, equation, x, grid))[-1][1] for x in (X, 2 * X)]
    together = list(zip(integrate(method, equation, X, grid), integrate(method, equation, 2 * X, grid), strict=True))[
        -1
    ]
    for (_, got), expected in zip(together, alone, strict=True):
        assert torch.equal(got, expected)


def test_the_loop_belongs_to_the_caller():
    """It is a generator: an early stop costs no further evaluation."""
    calls = []
    walk = integrate(Euler(), ODE(lambda x, t: calls.append(t) or -x), X, uniform(0.0, 1.0, 100))
    for time, _ in walk:
        if time > 0.045:
            break
    assert len(calls) == 5
