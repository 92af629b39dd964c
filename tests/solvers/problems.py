"""Exact problems for measuring orders, and paths that make moments exact instead of sampled."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from solvers import ODE, DiagonalSDE, ItoSDE, MarkovChain, SemilinearODE, SemilinearSDE
from solvers.wiener import AreaPath


def observed_order(errors: list[float]) -> float:
    """The slope of log(error) from the last halving of the step; errors are given at n, 2n, 4n, ..."""
    return math.log2(errors[-2] / errors[-1])


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
    """The exact convolution of g(tau) = 1 + tau/2 by 20-point Gauss-Legendre quadrature."""
    u, w = map(torch.from_numpy, __import__("numpy").polynomial.legendre.leggauss(20))
    tau = t + (s - t) * (u + 1) / 2
    return math.sqrt(abs(s - t) / 2 * float((w * torch.exp(2 * rate * (s - tau)) * (1 + tau / 2) ** 2).sum()))


def linear_moments(start: float, stop: float, x0: float, rate: float = -0.8) -> tuple[float, float]:
    """Mean and variance at `stop` of `additive(kind)` from x0 at `start`, in either direction, by quadrature."""
    u, w = map(torch.from_numpy, __import__("numpy").polynomial.legendre.leggauss(40))
    tau = start + (stop - start) * (u + 1) / 2
    w = w * (stop - start) / 2
    mean = math.exp(rate * (stop - start)) * x0 + float((w * torch.exp(rate * (stop - tau)) * tau.cos()).sum())
    return mean, abs(float((w * torch.exp(2 * rate * (stop - tau)) * (1 + tau / 2) ** 2).sum()))


class Impulses(AreaPath):
    """A batch of paths, one impulse each: sample k moves by sqrt|h| in half-step k, of length h, and stands still in all
    others.

    As many samples again as there are steps have an impulse in the Levy area of one step, of its deviation
    sqrt(|h|/12). A method on a linear equation is linear in the increments, so the sum over k of (response to impulse
    k)^2 is the exact variance of its result: a weak order is measured without a single random number. The last sample
    gets no impulse at all: its result is the mean.
    """

    def __init__(self, grid: Tensor):
        self.steps = len(grid) - 1
        self.halves = [*torch.stack([grid[:-1], (grid[:-1] + grid[1:]) / 2], 1).flatten().tolist(), grid[-1].item()]

    @property
    def batch(self) -> int:
        return 3 * self.steps + 1

    def increment(self, t, s):
        cells = range(self._at(t), self._at(s))
        return self._impulse([(k, abs(self.halves[k + 1] - self.halves[k]) ** 0.5) for k in cells])

    def increment_and_area(self, t, s):
        area = self._impulse([(2 * self.steps + self._at(t) // 2, (abs(s - t) / 12) ** 0.5)])
        return self.increment(t, s), area

    def _at(self, t: float) -> int:
        """The number of a half-step's end; KeyError for a time that is none."""
        return self._places[round(t, 12)]

    @cached_property
    def _places(self) -> dict[float, int]:
        return {round(t, 12): k for k, t in enumerate(self.halves)}

    def _impulse(self, sizes):
        impulse = torch.zeros(self.batch, 1, dtype=torch.float64)
        for k, size in sizes:
            impulse[k] = size
        return impulse

    def channel(self, k):
        raise ValueError("impulses have one channel")

    def moments(self, result: Tensor) -> tuple[float, float]:
        """Mean and variance of the method's result, from the final states of the batch."""
        mean = result[-1].item()
        return mean, float(((result[:-1] - mean) ** 2).sum())


class FineWalk(AreaPath):
    """Wiener paths on a fine grid, with Levy areas by the trapezoidal rule: coarse grids of cells/2^k steps share them."""

    def __init__(self, samples: int, start: float, stop: float, cells: int, seed: int):
        self.grid = torch.linspace(start, stop, cells + 1, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        dw = (
            torch.randn(cells, samples, 1, generator=generator, dtype=torch.float64)
            * abs((stop - start) / cells) ** 0.5
        )
        self.walk = torch.cat([torch.zeros_like(dw[:1]), dw.cumsum(0)])

    def _at(self, t: float) -> int:
        return round((t - self.grid[0].item()) / (self.grid[1] - self.grid[0]).item())

    def increment(self, t, s):
        return self.walk[self._at(s)] - self.walk[self._at(t)]

    def increment_and_area(self, t, s):
        piece = self.walk[self._at(t) : self._at(s) + 1]
        mean = (piece.sum(0) - (piece[0] + piece[-1]) / 2) / (len(piece) - 1)
        return piece[-1] - piece[0], mean - (piece[0] + piece[-1]) / 2

    def channel(self, k):
        raise ValueError("this path has one channel")


class Mirrored(AreaPath):
    """The paths of another, then their mirror images: what is odd in the noise cancels in the mean over the batch."""

    def __init__(self, path: AreaPath):
        self.path = path

    def increment(self, t, s):
        dw = self.path.increment(t, s)
        return torch.cat([dw, -dw])

    def increment_and_area(self, t, s):
        dw, area = self.path.increment_and_area(t, s)
        return torch.cat([dw, -dw]), torch.cat([area, -area])

    def channel(self, k):
        return Mirrored(self.path.channel(k))


def geometric_brownian(drift: float = 0.5, volatility: float = 0.6) -> DiagonalSDE:
    """dx = drift x dt + volatility x dW, with x_t = x_0 exp((drift - volatility^2/2) t + volatility W_t)."""
    return DiagonalSDE(lambda x, t: drift * x, lambda x, t: volatility * x)
