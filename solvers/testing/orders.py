r"""Observed orders of convergence, with intervals: what the contract tests assert and `benchmarks/orders.py` tabulates.

An order is the slope log2(error(n) / error(2n)). Where the errors are exact, its interval reaches as far as the slope
has moved since the halving before. Where they are means over samples, d_1 and d_2 at n and 2n steps on the same paths,
the errors are E_i = |mean d_i| (weak) or sqrt(mean d_i^2) (strong), and the delta method gives the standard error from

    weak    (d_1/mean d_1 - d_2/mean d_2) / log 2,       strong    (d_1^2/E_1^2 - d_2^2/E_2^2) / (2 log 2),        (1)

one number for each sample; the interval is three standard errors wide on either side.

References:
    Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 1992, sections 9.6 and 9.7
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.equations import Equation
from solvers.grids import Spacing, through, uniform
from solvers.integrate import FixedGrid, Solver
from solvers.method import Method
from solvers.testing.paths import FineWalk, Impulses, Mirrored
from solvers.testing.problems import LINEAR, additive, manufactured

UNEVEN = through(lambda t: t**0.8, lambda u: u**1.25)
"""A smooth grid of unequal steps."""


def alternating(start: float, stop: float, steps: int) -> Tensor:
    """Steps of lengths 1, 3, 2, 1, 3, 2, ...: weights that belong to another step show here, on no smooth grid.

    (With two lengths in turn the errors of weights one step late would cancel in pairs.)
    """
    lengths = torch.tensor([1.0, 3.0, 2.0], dtype=torch.float64).repeat(steps // 3 + 1)[:steps]
    inner = start + (stop - start) * lengths.cumsum(0)[:-1] / lengths.sum()
    return torch.tensor([start, *inner.tolist(), stop], dtype=torch.float64)


SPANS = {"up": (0.3, 1.5), "down": (1.5, 0.3)}

Kind = type[Equation]
AtSteps = Callable[[int], Solver]
"""A solver for every number of steps."""


@dataclass(frozen=True)
class Observed:
    """An order and its interval."""

    order: float
    low: float
    high: float

    def __str__(self) -> str:
        """2.00 [1.99, 2.01]."""
        return f"{self.order:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def reaches(self, declared: float, tolerance: float) -> bool:
        """Whether an order of `declared` less the tolerance lies within reach of the interval."""
        return self.high >= declared - tolerance

    def stays(self, declared: float, tolerance: float) -> bool:
        """Whether it is not resolved to be above the declared order."""
        return self.low <= declared + tolerance


def on_grid(method: Method, spacing: Spacing = uniform) -> AtSteps:
    """A method on grids of one spacing."""
    return lambda steps: FixedGrid(method, steps, spacing)


def observed_order(errors: Sequence[float]) -> float:
    """The slope of log(error) from the last halving of the step; errors are given at n, 2n, 4n, ..."""
    return math.log2(errors[-2] / errors[-1])


def from_errors(errors: Sequence[float]) -> Observed:
    """The last slope, and how far it has moved since the one before."""
    order = observed_order(errors)
    moved = abs(order - observed_order(errors[:-1])) if len(errors) > 2 else 0.0
    return Observed(order, order - moved, order + moved)


def strong_order(coarse: Tensor, fine: Tensor) -> Observed:
    """From the pathwise errors (N,) at n and at 2n steps, equation (1)."""
    a, b = coarse.square(), fine.square()
    order = 0.5 * math.log2(a.mean().item() / b.mean().item())
    return _with_error(order, (a / a.mean() - b / b.mean()) / (2 * math.log(2)))


def weak_order(coarse: Tensor, fine: Tensor) -> Observed:
    """From the errors of a functional on each path (N,) at n and at 2n steps, equation (1)."""
    order = math.log2(abs(coarse.mean().item() / fine.mean().item()))
    return _with_error(order, (coarse / coarse.mean() - fine / fine.mean()) / math.log(2))


def _with_error(order: float, influence: Tensor) -> Observed:
    reach = 3 * influence.std().item() / len(influence) ** 0.5
    return Observed(order, order - reach, order + reach)


def deterministic(method: Method, kind: Kind, problem: str, direction: str, spacing: Spacing = UNEVEN) -> Observed:
    """The largest error on the second half of the grid, halving the step until the error nears rounding.

    Where the last two orders differ, as under a start of lower order than the steps, there are more steps.
    """
    start, stop = SPANS[direction]
    equation, exact = manufactured(kind, problem)
    x = torch.full((1, 1), exact(start), dtype=torch.float64)
    errors, steps = [], 16
    while len(errors) < 3 or (steps <= 1024 and errors[-1] > 1e-10) or (steps <= 4096 and _moves(errors)):
        walk = list(FixedGrid(method, steps, spacing).trajectory(equation, x, start, stop))
        errors.append(max(abs(state.item() - exact(t)) for t, state in walk[steps // 2 :]))
        steps *= 2
    if errors[-1] <= 1e-13:
        raise ArithmeticError(f"the errors {errors} reach rounding: the problem is too easy to measure an order")
    return from_errors(errors)


def _moves(errors: Sequence[float]) -> bool:
    """Whether the order of errors well above rounding is not yet settled."""
    seen = from_errors(errors)
    return errors[-1] > 3e-12 and seen.high - seen.order > 0.03


def weak_on_linear(
    at: AtSteps, kind: Kind, direction: str, spacing: Spacing = UNEVEN, problem: str = "forced"
) -> Observed:
    """The distance of mean and variance from theirs on one of `LINEAR`, by impulses: no random number is drawn.

    `spacing` is the grid of the solvers `at`.
    """
    (start, stop), linear = SPANS[direction], LINEAR[problem]
    exact = linear.moments(start, stop, 0.7)

    def error(steps: int) -> float:
        path = Impulses(spacing(start, stop, steps))
        x = torch.full((path.batch, 1), 0.7, dtype=torch.float64)
        return math.dist(path.moments(at(steps)(linear.equation(kind), x, start, stop, path)), exact)

    return settled(error, 48, 768)


def settled(error: Callable[[int], float], first: int, last: int) -> Observed:
    """The order once its last two halvings agree to 0.02, or at `last` steps: where two terms of the error nearly cancel,
    the order of one of them shows late.
    """
    errors, steps = [error(first), error(2 * first), error(4 * first)], 8 * first
    while steps <= last and errors[-1] > 1e-9 and abs(from_errors(errors).high - from_errors(errors).order) > 0.02:
        errors.append(error(steps))
        steps *= 2
    return from_errors(errors)


def strong(at: AtSteps, kind: Kind, direction: str, seed: int = 5, shape: str = "sine") -> Observed:
    """Distance to the same solver with 16 times the steps, on one path; nonlinear drift, 2000 samples, uniform grids."""
    start, stop = SPANS[direction]
    x = torch.full((2000, 1), 0.7, dtype=torch.float64)
    path = FineWalk(2000, start, stop, cells=2048, seed=seed)

    def end(steps: int) -> Tensor:
        return at(steps)(additive(kind, 1.0, shape), x, start, stop, path)[:, 0]

    reference = end(1024)
    return strong_order(end(32) - reference, end(64) - reference)


def weak_on_nonlinear(at: AtSteps, kind: Kind, seed: int = 8) -> Observed | None:
    """E[sin x + x^2], coupled to a fine run on the same paths, 20000 of them and their mirror images, uniform grids.

    None where an error is below six standard errors: too small to measure an order.
    """
    start, stop, n = 0.3, 1.5, 20_000
    x = torch.full((2 * n, 1), 0.7, dtype=torch.float64)
    path = Mirrored(FineWalk(n, start, stop, cells=512, seed=seed))

    def end(steps: int) -> Tensor:
        y = at(steps)(additive(kind, bend=0.5), x, start, stop, path)[:, 0]
        return (torch.sin(y) + y**2).reshape(2, n).mean(0)

    reference = end(256)
    coarse, fine = (end(steps) - reference for steps in (4, 8))
    resolved = all(abs(error.mean().item()) > 6 * error.std().item() / n**0.5 for error in (coarse, fine))
    return weak_order(coarse, fine) if resolved else None
