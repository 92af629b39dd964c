r"""Orders of stochastic methods on exact problems, by impulses: no random number is drawn.

Where a method's result X is linear in the noise, X = E X + integral of r(tau) dW, with r constant over a half-step but
for the method's use of the space-time area, H = integral of ((s - tau)/h - 1/2) dW over a step. The exact solution has
its response K(tau), and by Ito's isometry the strong error is exact too:

    E (X - x)^2 = (E X - E x)^2 + integral of (r - K)^2 |dtau|                                                   (1)

Where p(noise) is a polynomial of degree three or less, such as the second component of a `Cascade` and its product with
the first, its mean is exact by second differences along impulses e of unit variance:

    E p = p(0) + 1/2 sum over e of (p(e) + p(-e) - 2 p(0))                                                       (2)
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from solvers.elementwise import Coefficient
from solvers.grids import Spacing, uniform
from solvers.integrate import FixedGrid
from solvers.method import Method
from solvers.testing.orders import SPANS, UNEVEN, AtSteps, Kind, Observed, settled
from solvers.testing.paths import Impulses, Mirrored
from solvers.testing.problems import CLOCKS, LINEAR, Cascade, Linear, legendre, renoised

CASCADE = Cascade(Linear(0.6, -1.4, lambda t: 1.2 - t / 2))
"""The cascade that orders are measured on."""
MEAN, VARIANCE = 0.6, 0.5
"""Of the data of `weak_on_renoised`."""


def strong_on_linear(
    at: AtSteps, kind: Kind, direction: str, spacing: Spacing = UNEVEN, problem: str = "forced"
) -> Observed:
    """The RMS error on one of `LINEAR`, equation (1); `spacing` is the grid of the solvers `at`."""
    (start, stop), linear = SPANS[direction], LINEAR[problem]

    def error(steps: int) -> float:
        path = Impulses(spacing(start, stop, steps))
        x = torch.full((path.batch, 1), 0.7, dtype=torch.float64)
        result = at(steps)(linear.equation(kind), x, start, stop, path)[:, 0]
        bias = result[-1].item() - linear.moments(start, stop, 0.7)[0]
        return (bias**2 + spread_apart(path, result, linear, stop)) ** 0.5

    return settled(error, 48, 768)


def spread_apart(path: Impulses, result: Tensor, linear: Linear, stop: float) -> float:
    """The integral of (r - K)^2 |dtau| over the run."""
    deviation, total = (result - result[-1]).tolist(), 0.0
    for k, (t, s) in enumerate(zip(path.halves, path.halves[1:], strict=False)):
        first, last = path.halves[k - k % 2], path.halves[k - k % 2 + 2]
        h, area = last - first, deviation[2 * path.steps + k // 2]
        tau, w = legendre(t, s)
        tilt = area / (abs(h) / 12) ** 0.5 * ((last - tau) / h - 0.5)
        total += float((w.abs() * (deviation[k] / abs(s - t) ** 0.5 + tilt - linear.response(tau, stop)) ** 2).sum())
    return total


def weak_on_cascade(at: AtSteps, kind: Kind, direction: str, spacing: Spacing = UNEVEN) -> Observed:
    """The distance of E[y] and E[x y] from theirs on `CASCADE`, equation (2); `spacing` is the grid of the solvers `at`."""
    start, stop = SPANS[direction]
    exact = CASCADE.moments(start, stop, 0.7, 0.4)

    def error(steps: int) -> float:
        path = Impulses(spacing(start, stop, steps))
        state = torch.tensor([[0.7, 0.4]], dtype=torch.float64).repeat(2 * path.batch, 1)
        x, y = at(steps)(CASCADE.equation(kind), state, start, stop, Mirrored(path)).unbind(-1)
        return math.dist((mean_of_cubic(y), mean_of_cubic(x * y)), exact)

    return settled(error, 48, 384)


def mean_of_cubic(p: Tensor) -> float:
    """Equation (2), of p (2 B,) along the impulses and then their mirror images, of which the last is no impulse."""
    along, back = p.reshape(2, -1)
    return (along[-1] + (along + back - 2 * along[-1]).sum() / 2).item()


def weak_on_renoised(method: Method, clock: str) -> Observed:
    """The distance of mean and variance from theirs, down from the distribution at 1.5, by impulses: of the
    noise, and of the start.
    """
    equation, (q, _) = renoised(clock, MEAN, VARIANCE), CLOCKS[clock]
    start, stop = 1.5, 0.3
    exact = (MEAN, VARIANCE + q(stop))

    def error(steps: int) -> float:
        path = Impulses(uniform(start, stop, steps))
        x = torch.full((path.batch, 1), MEAN, dtype=torch.float64)
        solver = FixedGrid(method, steps)
        mean, added = path.moments(solver(equation, x, start, stop, path))
        first = solver(equation, x + (VARIANCE + q(start)) ** 0.5, start, stop, path)[-1].item() - mean
        return math.dist((mean, first**2 + added), exact)

    return settled(error, 128, 512)


def first_variances(method: Method, clock: str) -> tuple[float, float, float]:
    """(time, variance, exact variance) at the first call of the field on the problem of `weak_on_renoised`, by impulses."""
    equation, (q, _), (start, stop) = renoised(clock, MEAN, VARIANCE), CLOCKS[clock], (1.5, 0.3)
    calls: list[tuple[Tensor, float]] = []

    def listening(x: Tensor, t: Coefficient) -> Tensor:
        calls.append((x, float(t)))
        return equation.drift(x, t)

    path = Impulses(uniform(start, stop, 8))
    x = torch.full((path.batch, 1), MEAN, dtype=torch.float64)
    apart, found = (VARIANCE + q(start)) ** 0.5, []
    for shift in (0.0, apart):
        calls.clear()
        FixedGrid(method, 8)(replace(equation, drift=listening), x + shift, start, stop, path)
        found.append(calls[0])
    (still, t), (moved, _) = found
    mean, added = path.moments(still)
    return t, (moved[-1].item() - mean) ** 2 + added, VARIANCE + q(t)
