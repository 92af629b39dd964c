"""Problems whose exact solution or exact moments are known, for measuring orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solvers.equations import (
    ODE,
    DiagonalSDE,
    Equation,
    Field,
    ItoSDE,
    MarkovChain,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
)
from solvers.integrate import Solver

# Manufactured solutions y*(t): an equation whose exact solution is known whatever its kind.

PHASE = 2.5
"""No leading term of an error cancels by chance there: of a step, of a low-order start, in either direction."""

SOLUTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "sine": (lambda t: math.sin(7 * t + PHASE) + 2, lambda t: 7 * math.cos(7 * t + PHASE)),
    "decay": (lambda t: 1 / (0.4 + t), lambda t: -1 / (0.4 + t) ** 2),
    "growth": (lambda t: math.exp(2 * t), lambda t: 2 * math.exp(2 * t)),
}


def manufactured(kind: type, name: str, rate: float = -0.4):
    """The equation of the given kind with solution y*; the sine of the defect makes it nonlinear.

    The forcing depends on the state at the solution too: its slope there is -1 - rate, and -1 would hide the stages.
    """
    exact, slope = SOLUTIONS[name]

    def drift(x: Tensor, t) -> Tensor:
        return slope(t) + torch.sin(exact(t) - x)

    if kind is SemilinearODE:
        return SemilinearODE(rate, lambda x, t: drift(x, t) - rate * x), exact
    assert kind is ODE
    return ODE(drift), exact


@dataclass(frozen=True)
class Shrunk(Solver):
    """A solver that is given a deterministic equation in the units y = size x: what it does to large states only is gone."""

    solver: Solver
    size: float

    def __call__(self, equation, x, start, stop, noise=None):
        """The state at `stop`, in the old units."""
        name = "drift" if isinstance(equation, ODE) else "forcing"
        field, size = getattr(equation, name), self.size
        small = replace(equation, **{name: lambda y, t: size * field(y / size, t)})
        return self.solver(small, size * x, start, stop, noise) / size


# Stochastic problems with additive noise, whose laws are known.

Scalar = Callable[[Any], Any]
"""A function of time alone."""


@dataclass(frozen=True)
class Linear:
    """dx = ((rate + slope) x + cos t + bend(x)) dt + g(t) dW; linear without a bend.

    A semilinear method takes `rate` exactly and gets the rest as its forcing, which depends on the state unless slope
    and bend are zero: the forcing of a sampler always does.
    """

    rate: float
    slope: float
    g: Scalar
    bend: Callable[[Tensor], Tensor] | None = None

    def equation(self, kind: type) -> Equation:
        """In the form that the kind asks for: ItoSDE, SemilinearSDE or the MarkovChain of Euler's steps."""

        def forcing(x: Tensor, t) -> Tensor:
            y = self.slope * x + math.cos(t)
            return y if self.bend is None else y + self.bend(x)

        return in_form(kind, self.rate, forcing, self.g)

    def growth(self, tau: Tensor, stop: float) -> Tensor:
        """How a small change of x at tau has grown at `stop`, without the bend: e^{(rate + slope) (stop - tau)}."""
        return torch.exp((self.rate + self.slope) * (stop - tau))

    def response(self, tau: Tensor, stop: float) -> Tensor:
        """What a unit of noise at tau has become at `stop`: x(stop) - E x(stop) is the integral of response dW."""
        return self.growth(tau, stop) * self.noise_at(tau)

    def noise_at(self, tau: Tensor) -> Tensor:
        """g at many times."""
        return torch.tensor([self.g(t) for t in tau.flatten().tolist()], dtype=tau.dtype).reshape(tau.shape)

    def moments(self, start: float, stop: float, x0: float) -> tuple[float, float]:
        """Mean and variance at `stop` from x0 at `start`, in either direction, by quadrature; without a bend."""
        tau, w = legendre(start, stop)
        first = math.exp((self.rate + self.slope) * (stop - start)) * x0
        mean = first + float((w * self.growth(tau, stop) * tau.cos()).sum())
        return mean, abs(float((w * self.response(tau, stop) ** 2).sum()))


LINEAR = {
    "forced": Linear(-0.8, 0.0, lambda t: 1 + t / 2),
    "shared": Linear(1.0, -1.6, lambda t: 1 + t**2 / 2),
    "growing": Linear(-0.5, 1.3, lambda t: math.exp(-t / 2)),
}
"""The forcing does not depend on the state, holds it back, drives it on."""


BENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "sine": lambda x: torch.sin(2 * x),
    "step": lambda x: 1.5 * torch.tanh(x),
    "bump": lambda x: 2 * torch.exp(-(x**2)),
}
"""Nonlinear parts of a drift, bounded, so that no path explodes in either direction of time."""


def additive(kind: type, bend: float = 0.0, shape: str = "sine") -> Equation:
    """The forced problem, bent by one of `BENDS`: dx = (-0.8 x + cos t + bend shape(x)) dt + (1 + t/2) dW."""
    curve = BENDS[shape]
    return replace(LINEAR["forced"], bend=(lambda x: bend * curve(x)) if bend else None).equation(kind)


def in_form(kind: type, rate: float, forcing: Field, g: Scalar) -> Equation:
    """dx = (rate x + forcing(x, t)) dt + g(t) dW as an equation of one kind."""

    def drift(x: Tensor, t) -> Tensor:
        return rate * x + forcing(x, t)

    if kind is ItoSDE:
        return ItoSDE(drift, g)
    if kind is SemilinearSDE:
        return SemilinearSDE(rate, forcing, lambda t, s: _spread(rate, g, float(t), float(s)))
    assert kind is MarkovChain
    return MarkovChain(lambda x, t, s: x + (s - t) * drift(x, t), lambda t, s: g(t) * abs(s - t) ** 0.5)


@lru_cache(maxsize=8192)
def _spread(rate: float, g: Scalar, t: float, s: float) -> float:
    """The exact convolution of g by Gauss-Legendre quadrature."""
    return math.sqrt(Linear(rate, 0.0, g).moments(t, s, 0.0)[1])


@cache
def _nodes() -> tuple[Tensor, Tensor]:
    u, w = np.polynomial.legendre.leggauss(40)
    return torch.from_numpy(u), torch.from_numpy(w)


def legendre(start: float, stop: float) -> tuple[Tensor, Tensor]:
    """Nodes and signed weights, (40,) each, of the integral from start to stop."""
    u, w = _nodes()
    return start + (stop - start) * (u + 1) / 2, w * (stop - start) / 2


@dataclass(frozen=True)
class Cascade:
    """A linear equation that feeds a second one with its square, both on one noise: x and y, the last axis of the state.

        dx = ((rate + slope) x + cos t) dt + g dW,      dy = ((rate - slope/2) y + x^2) dt + g dW

    The forcing is nonlinear and depends on the state, and E[y] and E[x y] are known: their equations close.
    """

    first: Linear

    def equation(self, kind: type) -> Equation:
        """In the form that the kind asks for; states are (B, 2)."""
        slope = self.first.slope

        def forcing(state: Tensor, t) -> Tensor:
            x, y = state.unbind(-1)
            return torch.stack([slope * x + math.cos(t), x**2 - slope / 2 * y], -1)

        return in_form(kind, self.first.rate, forcing, self.first.g)

    def moments(self, start: float, stop: float, x0: float, y0: float) -> tuple[float, float]:
        """E[y] and E[x y] at `stop` from (x0, y0) at `start`, in either direction, by nested quadrature."""
        tau, w = legendre(start, stop)
        law = [self.first.moments(start, t, x0) for t in tau.tolist()]
        mean, variance = torch.tensor(law, dtype=torch.float64).T
        ys = torch.tensor([self._second(start, t, x0, y0) for t in tau.tolist()], dtype=torch.float64)
        cube, noise = mean**3 + 3 * mean * variance, self.first.noise_at(tau) ** 2 * math.copysign(1.0, stop - start)
        a, b = self.first.rate + self.first.slope, self.first.rate - self.first.slope / 2
        driven = (w * torch.exp((a + b) * (stop - tau)) * (cube + tau.cos() * ys + noise)).sum()
        return self._second(start, stop, x0, y0), math.exp((a + b) * (stop - start)) * x0 * y0 + float(driven)

    def _second(self, start: float, stop: float, x0: float, y0: float) -> float:
        tau, w = legendre(start, stop)
        law = [self.first.moments(start, t, x0) for t in tau.tolist()]
        b, square = (
            self.first.rate - self.first.slope / 2,
            torch.tensor([m**2 + v for m, v in law], dtype=torch.float64),
        )
        return math.exp(b * (stop - start)) * y0 + float((w * torch.exp(b * (stop - tau)) * square).sum())


# Problems with diagonal noise, whose solutions are functions of the noise: X = f(mu t + nu W).


def geometric_brownian(drift: float = 0.5, volatility: float = 0.6) -> DiagonalSDE:
    """dx = drift x dt + volatility x dW, with x_t = x_0 exp((drift - volatility^2/2) t + volatility W_t)."""
    return DiagonalSDE(lambda x, t: drift * x, lambda x, t: volatility * x)


def transformed(
    function: str, mu: float = 0.4, nu: float = 0.5
) -> tuple[DiagonalSDE, Callable[[float, Tensor], Tensor]]:
    """An equation and its solution f(0.3 + mu t + nu W) from f(0.3), for f = exp, sinh or atan: by Ito's formula

    dX = (mu f' + nu^2/2 f'') dt + nu f' dW, with f' and f'' written in X.
    """
    solution, first, second = TRANSFORMED[function]
    equation = DiagonalSDE(
        lambda x, t: mu * first(x) + nu**2 / 2 * second(x),
        lambda x, t: nu * first(x),
    )
    return equation, lambda t, w: solution(0.3 + mu * t + nu * w)


Function = Callable[[Tensor], Tensor]
TRANSFORMED: dict[str, tuple[Function, Function, Function]] = {
    "exp": (torch.exp, lambda x: x, lambda x: x),
    "sinh": (torch.sinh, lambda x: (1 + x**2).sqrt(), lambda x: x),
    "atan": (torch.atan, lambda x: x.cos() ** 2, lambda x: -2 * x.sin() * x.cos() ** 3),
}
"""f, then f' and f'' as functions of X = f(u)."""


# Problems whose law moves by adding noise.


def renoised(clock: str, mean: float = 0.6, variance: float = 0.5) -> RenoisedODE:
    """The flow of the distributions N(mean, variance + q(t)): dx/dt = q'(t)/2 (x - mean)/(variance + q(t))."""
    q, rate = CLOCKS[clock]
    return RenoisedODE(lambda x, t: rate(t) / (2 * (variance + q(t))) * (x - mean), lambda t, s: math.sqrt(q(s) - q(t)))


CLOCKS: dict[str, tuple[Scalar, Scalar]] = {
    "linear": (lambda t: t, lambda t: 1.0),
    "square": (lambda t: t**2, lambda t: 2 * t),
    "root": (lambda t: t**0.5, lambda t: 0.5 * t**-0.5),
}
"""q and q'."""
