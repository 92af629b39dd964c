"""Problems whose exact solution or exact moments are known, for measuring orders."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, lru_cache

import numpy as np
import torch
from torch import Tensor

from solvers.equations import ODE, DiagonalSDE, ItoSDE, MarkovChain, SemilinearODE, SemilinearSDE

# Manufactured solutions y*(t): an equation whose exact solution is known whatever its kind.

SOLUTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "sine": (lambda t: math.sin(7 * t) + 2, lambda t: 7 * math.cos(7 * t)),
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


# Stochastic problems dx = drift dt + diffusion dW, additive, with known linear moments.


def additive(kind: type, bend: float = 0.0, rate: float = -0.8):
    """dx = (rate x + cos t + bend sin 2x) dt + (1 + t/2) dW in the form that the kind asks for; linear for bend = 0."""

    def forcing(x: Tensor, t) -> Tensor:
        return math.cos(t) + bend * torch.sin(2 * x)

    def drift(x: Tensor, t) -> Tensor:
        return rate * x + forcing(x, t)

    def g(t) -> float:
        return 1 + t / 2

    if kind is ItoSDE:
        return ItoSDE(drift, g)
    if kind is SemilinearSDE:
        return SemilinearSDE(rate, forcing, lambda t, s: _spread(rate, t, s))
    assert kind is MarkovChain
    return MarkovChain(lambda x, t, s: x + (s - t) * drift(x, t), lambda t, s: g(t) * abs(s - t) ** 0.5)


@lru_cache(maxsize=8192)
def _spread(rate: float, t: float, s: float) -> float:
    """The exact convolution of g(tau) = 1 + tau/2 by Gauss-Legendre quadrature."""
    tau, w = legendre(t, s)
    return math.sqrt(abs(float((w * torch.exp(2 * rate * (s - tau)) * (1 + tau / 2) ** 2).sum())))


@cache
def _nodes() -> tuple[Tensor, Tensor]:
    u, w = np.polynomial.legendre.leggauss(40)
    return torch.from_numpy(u), torch.from_numpy(w)


def legendre(start: float, stop: float) -> tuple[Tensor, Tensor]:
    """Nodes and signed weights, (40,) each, of the integral from start to stop."""
    u, w = _nodes()
    return start + (stop - start) * (u + 1) / 2, w * (stop - start) / 2


def linear_moments(start: float, stop: float, x0: float, rate: float = -0.8) -> tuple[float, float]:
    """Mean and variance at `stop` of `additive(kind)` from x0 at `start`, in either direction, by quadrature."""
    tau, w = legendre(start, stop)
    mean = math.exp(rate * (stop - start)) * x0 + float((w * torch.exp(rate * (stop - tau)) * tau.cos()).sum())
    return mean, abs(float((w * torch.exp(2 * rate * (stop - tau)) * (1 + tau / 2) ** 2).sum()))


def geometric_brownian(drift: float = 0.5, volatility: float = 0.6) -> DiagonalSDE:
    """dx = drift x dt + volatility x dW, with x_t = x_0 exp((drift - volatility^2/2) t + volatility W_t)."""
    return DiagonalSDE(lambda x, t: drift * x, lambda x, t: volatility * x)
