r"""What a method gets exactly right whatever its step: polynomials of time, the linear part, the noise itself.

ODE                 x' = (d + 1) t^d,  x = t^{d+1}: d = 0 is consistency                                       (1)
SemilinearODE       y' = a y + c: an exponential method has no error                                           (2)
ItoSDE, DiagonalSDE, MarkovChain      dx = dt + dW: x_s - x_t = (s - t) + W(s) - W(t) on the path itself       (3)
SemilinearSDE       dy = a y dt + dN: mean and variance exact, by impulses                                     (4)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from solvers.elementwise import Coefficient
from solvers.equations import ODE, DiagonalSDE, Equation, Field, ItoSDE, MarkovChain, SemilinearODE, SemilinearSDE
from solvers.integrate import FixedGrid, Solver
from solvers.method import Method
from solvers.testing.diagnosis import likely
from solvers.testing.orders import SPANS, UNEVEN
from solvers.testing.paths import Impulses, ScaledPath
from solvers.testing.report import Finding, verdict
from solvers.wiener import KeyedIncrements, WienerPath

ROUNDING = 1e-11
NOISE_FACTORS = {
    "sqrt(2) is missing before the noise": math.sqrt(2),
    "the noise is sqrt(2) times too large": 1 / math.sqrt(2),
    "the noise is half of what it should be": 2.0,
    "the noise is twice too large": 0.5,
}


def exactness(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """The class that belongs to the kind, in both directions; nothing for kinds that have none."""
    measure = {ODE: _polynomials, SemilinearODE: _linear, SemilinearSDE: _convolution}.get(kind, _noise_alone)
    if kind not in (ODE, SemilinearODE, SemilinearSDE, ItoSDE, DiagonalSDE, MarkovChain):
        return
    for direction in SPANS:
        yield measure(FixedGrid(method, 6, UNEVEN), kind, direction)


def _polynomials(solver: Solver, kind: type[Equation], direction: str) -> Finding:
    start, stop = SPANS[direction]

    def error(d: int) -> float:
        x = torch.tensor([[start ** (d + 1)]], dtype=torch.float64)
        field = ODE(lambda x, t: torch.full_like(x, (d + 1) * float(t) ** d))
        return abs(solver(field, x, start, stop).item() - stop ** (d + 1))

    degree = next((d - 1 for d in range(12) if error(d) > ROUNDING), 11)
    return verdict(
        f"exact for polynomials (ODE, {direction})",
        error(0),
        ROUNDING,
        example="x' = 1 on 6 uneven steps",
        cause="the weights of a step do not add up to its length",
        note=f"x' = t^d is exact up to d = {degree}",
        read="equation (1) of solvers/testing/exactness.py",
    )


def _linear(solver: Solver, kind: type[Equation], direction: str) -> Finding:
    start, stop = SPANS[direction]
    rate, c = -0.8, 0.3
    x = torch.tensor([[0.7]], dtype=torch.float64)
    y = solver(SemilinearODE(rate, lambda y, t: torch.full_like(y, c)), x, start, stop).item()
    exact = (0.7 + c / rate) * math.exp(rate * (stop - start)) - c / rate
    read = "equation (2) of solvers/testing/exactness.py"
    return verdict(
        f"exact for linear (SemilinearODE, {direction})",
        abs(y - exact),
        ROUNDING,
        example="y' = -0.8 y + 0.3",
        read=read,
    )


def _noise_alone(solver: FixedGrid, kind: type[Equation], direction: str) -> Finding:
    start, stop = SPANS[direction]
    x = torch.tensor([[0.7], [-1.0], [0.1]], dtype=torch.float64)
    path = KeyedIncrements.like(x, 3, start, stop)
    noise = torch.stack([path.increment(t, s) for t, s in pairwise(UNEVEN(start, stop, 6).tolist())]).sum(0)
    exact = x + (stop - start) + noise

    def error(factor: float = 1.0) -> float:
        given: WienerPath = path if factor == 1.0 else ScaledPath(path, factor)
        return (solver(_pure_noise(kind), x, start, stop, given) - exact).abs().max().item()

    causes = [(words, lambda c=c: error(c)) for words, c in NOISE_FACTORS.items()]
    causes += [(ONE_DRAW, lambda: _largest_change(solver, kind, direction, x, path))]
    return verdict(
        f"exact for noise alone ({kind.__name__}, {direction})",
        error(),
        ROUNDING,
        example="dx = dt + dW on 6 uneven steps of one path",
        cause=lambda: (
            likely(causes, ROUNDING) or "noise is added that is not the path's, or the step is not the grid's"
        ),
        read="equation (3) of solvers/testing/exactness.py",
    )


ONE_DRAW = "one draw serves all steps: a generator is seeded anew at each of them"


def _largest_change(solver: FixedGrid, kind: type[Equation], direction: str, x: Tensor, path: WienerPath) -> float:
    """How much the unit noise of a step differs from that of the first: 0 where all steps add the same."""
    start, stop = SPANS[direction]
    walk = [(start, x), *solver.trajectory(_pure_noise(kind), x, start, stop, path)]
    units = [(b - a - (s - t)) / abs(s - t) ** 0.5 for (t, a), (s, b) in pairwise(walk) if s != t]
    return max((unit - units[0]).abs().max().item() for unit in units)


def _pure_noise(kind: type[Equation]) -> Equation:
    one: Field = lambda x, t: torch.ones_like(x)  # noqa: E731
    if kind is ItoSDE:
        return ItoSDE(one, lambda t: 1.0)
    if kind is DiagonalSDE:
        return DiagonalSDE(one, one)
    return MarkovChain(lambda x, t, s: x + (s - t), lambda t, s: abs(s - t) ** 0.5)


def _convolution(solver: Solver, kind: type[Equation], direction: str) -> Finding:
    start, stop = SPANS[direction]
    rate, path = -0.8, Impulses(UNEVEN(start, stop, 6))

    def spread(t: Coefficient, s: Coefficient) -> float:
        return math.sqrt(abs(math.expm1(2 * rate * float(s - t)) / (2 * rate)))

    x = torch.full((path.batch, 1), 0.7, dtype=torch.float64)
    equation = SemilinearSDE(rate, lambda y, t: torch.zeros_like(y), spread)
    mean, variance = path.moments(solver(equation, x, start, stop, path))
    gaps = abs(mean - 0.7 * math.exp(rate * (stop - start))), abs(variance - spread(start, stop) ** 2)
    read = "equation (4) of solvers/testing/exactness.py"
    return verdict(
        f"exact for linear (SemilinearSDE, {direction})", max(gaps), ROUNDING, example="dy = -0.8 y dt + dW", read=read
    )
