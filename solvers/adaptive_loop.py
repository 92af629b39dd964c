"""The adaptive loop: every sample has its own step size, and leaves the batch when it has arrived.

In each round every active sample attempts one step of its own length from its own time; where the estimated error is too
large it stays where it is and tries a shorter one. The samples that have arrived are taken out, so that the field is
evaluated for the active ones only. Nothing is shared between samples: no norm, no step, no time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor

from solvers.equations import select_rows
from solvers.method import Attempt
from solvers.step_control import LONGEST_SHARE, Before, Controller, Tolerance, root_mean_square


@dataclass(frozen=True, eq=False)
class Solution:
    """Where an adaptive solver arrived, and what it took, for each sample.

    Attributes:
        x: the states at the end, (B, *E).
        evaluations: calls of the field, int64, (B,).
        accepted, rejected: steps taken and attempts rejected, int64, (B,).
        error: the root-mean-square local errors estimated on the way, added up, in units of the state, float64, (B,).
            For an ODE their sum, which bounds what the steps have added where the flow brings neighbours together; for
            an SDE the root of the sum of their squares. They belong to the less accurate formula of the pair, so the
            truth is usually smaller; a flow that tears neighbours apart (at the border of two modes) makes it larger.
    """

    x: Tensor
    evaluations: Tensor
    accepted: Tensor
    rejected: Tensor
    error: Tensor

    def __str__(self) -> str:
        """The distribution of the cost and of the error over the batch, in one line."""
        if not len(self.evaluations):
            return "no samples"
        cost = self.evaluations.double()
        median, late = cost.quantile(0.5), cost.quantile(0.95)
        vain = self.rejected.sum() / (self.rejected + self.accepted).sum().clamp(min=1)
        return (
            f"{len(cost)} samples, evaluations: mean {cost.mean():.1f}, median {median:.0f}, 95% {late:.0f}, "
            f"most {cost.max():.0f}; {vain:.1%} of the attempts rejected; "
            f"estimated error: mean {self.error.mean():.1e}, most {self.error.max():.1e}"
        )


class AdaptiveStepper(ABC):
    """What the loop needs of a method on an equation: the field, and a step that estimates its own error.

    Attributes:
        equation: an `ODE` or an `ItoSDE`.
        controller: what chooses the steps.
        evaluations: calls of the field in a step, the one at its start included unless the step before leaves it.
        adds_up: p, where the errors e of many steps make (sum e^p)^(1/p): 1 in the worst case, 2 if they are
            uncorrelated.
        resolution: what limits the shortest step, in words, with what to do about it.
    """

    equation: Any
    controller: Controller
    evaluations: int
    adds_up: float = 1.0
    resolution: str = (
        "its error does not fall with the step: the field is not finite or not continuous there, or the dtype is too "
        "coarse; stop short of a singular time, or loosen the tolerances"
    )

    def field(self, x: Tensor, t: Tensor, rows: Tensor | None = None) -> Tensor:
        """The equation's drift at states (R, *E) and times (R,): of all samples, or of those in the mask `rows` (B,)."""
        equation = self.equation if rows is None else select_rows(self.equation, rows)
        return equation.drift(x, t)

    @abstractmethod
    def attempt(self, x: Tensor, t: Tensor, s: Tensor, first: Tensor) -> Attempt:
        """Steps from t to s, each (B,), where the field at t is `first`."""

    @abstractmethod
    def keep(self, rows: Tensor) -> AdaptiveStepper:
        """The same for some of the samples, a boolean mask (B,)."""

    def land(self, s: Tensor) -> Tensor:
        """The times nearest to s, (B,), at which a step may end."""
        return s


class ActiveSamples(NamedTuple):
    """The samples that have not arrived: states, times, last steps and costs. All (B,) but x and first.

    `refused` is the length of the attempt just rejected, infinite where the last one was accepted.
    """

    row: Tensor
    x: Tensor
    t: Tensor
    first: Tensor
    step: Tensor
    before: Tensor
    quotient: Tensor
    refused: Tensor
    evaluations: Tensor
    accepted: Tensor
    rejected: Tensor
    error: Tensor

    @classmethod
    def start(cls, x: Tensor, t: Tensor, first: Tensor, step: Tensor) -> Self:
        """All samples at the start, the first field known."""
        none = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        row = torch.arange(x.shape[0], device=x.device)
        zeros, ones = torch.zeros_like(t), torch.ones_like(t)
        return cls(row, x, t, first, step, zeros, ones, ones * math.inf, none + 1, none, none, zeros)

    def keep(self, rows: Tensor) -> ActiveSamples:
        """Some of them, by a boolean mask."""
        return ActiveSamples(*(value[rows] for value in self))


@dataclass(frozen=True)
class Interval:
    """From where to where, how exactly, and how many attempts a sample has."""

    start: float
    stop: float
    tolerance: Tolerance
    max_attempts: int

    def __post_init__(self) -> None:
        """Raises ValueError for times that are not finite, or no attempt."""
        if not (math.isfinite(self.start) and math.isfinite(self.stop)):
            raise ValueError(
                f"an adaptive solver runs between finite times, got {self.start} and {self.stop}; stop at a finite one"
            )
        if self.max_attempts < 1:
            raise ValueError(f"a sample needs at least one attempt, got {self.max_attempts}; ask for 10000")

    @property
    def span(self) -> float:
        """The way to go, > 0."""
        return abs(self.stop - self.start)

    @property
    def shortest(self) -> float:
        """The shortest step that float64 times can resolve."""
        return 1e-14 * max(abs(self.start), abs(self.stop))

    def target(self, stepper: AdaptiveStepper, t: Tensor, step: Tensor) -> Tensor:
        """Where steps from t end, (B,): the rest of the way is divided evenly where it holds but a few."""
        rest = (self.stop - t).abs()
        steps = (rest / step.clamp(max=self.span / LONGEST_SHARE) - 1e-9).ceil().clamp(min=1)
        s = stepper.land(t + (self.stop - t) / steps)
        return torch.where((steps == 1) | ((s - self.stop) * (self.stop - self.start) > 0), self.stop, s)


def solve_adaptively(stepper: AdaptiveStepper, x: Tensor, interval: Interval) -> Solution:
    """The states at the end of the interval from x (B, *E) at its start.

    Raises:
        FloatingPointError: the field is not finite at the start.
        ArithmeticError: a step fell below what can be resolved, or a sample has not arrived after `interval.max_attempts`.
    """
    if interval.start == interval.stop or not x.numel():
        none = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        return Solution(x, none, none, none, none.double())
    active, arrived = _start(stepper, x, interval), []
    for _ in range(interval.max_attempts):
        active = _attempt_step(stepper, active, interval)
        there = active.t == interval.stop
        if there.any():
            arrived.append(active.keep(there))
            active, stepper = active.keep(~there), stepper.keep(~there)
            if not active.row.numel():
                return _gather(arrived, stepper.adds_up)
    raise ArithmeticError(
        f"{_describe(active, 0)} after {interval.max_attempts} attempts, on the way from {interval.start:g} to "
        f"{interval.stop:g}, and {len(active.row) - 1} more; loosen the tolerances, take a time variable in which the equation "
        "is less stiff, or raise max_attempts"
    )


def _start(stepper: AdaptiveStepper, x: Tensor, interval: Interval) -> ActiveSamples:
    t = torch.full((x.shape[0],), interval.start, dtype=torch.float64, device=x.device)
    first = stepper.field(x, t)
    if not torch.isfinite(first).all():
        raise FloatingPointError(
            f"the field is NaN or infinite at the start, t = {interval.start:g}; look at the equation there, or start later"
        )
    return ActiveSamples.start(x, t, first, stepper.controller.first(interval.tolerance, x, first, interval.span))


def _attempt_step(stepper: AdaptiveStepper, active: ActiveSamples, interval: Interval) -> ActiveSamples:
    """One attempt of every sample."""
    s = interval.target(stepper, active.t, active.step)
    length = (s - active.t).abs()
    stuck = (length < interval.shortest) & (s != interval.stop) | (length >= active.refused)
    if stuck.any():
        where = _describe(active, int(stuck.nonzero()[0]))
        raise ArithmeticError(f"{where}, too short to be resolved: {stepper.resolution}")
    attempt = stepper.attempt(active.x, active.t, s, active.first)
    error = root_mean_square(attempt.error)
    quotient = interval.tolerance.quotient(error, root_mean_square(active.x), root_mean_square(attempt.x))
    good = quotient <= 1
    before = Before(active.before, active.quotient)
    mask = good.reshape(-1, *(1,) * (active.x.ndim - 1))
    moved = active._replace(
        x=torch.where(mask, attempt.x, active.x),
        t=torch.where(good, s, active.t),
        step=stepper.controller.next(length, quotient, before, active.refused.isfinite()),
        before=torch.where(good, length, active.before),
        quotient=torch.where(good, quotient, active.quotient),
        refused=torch.where(good, math.inf, length),
        evaluations=active.evaluations + (stepper.evaluations - (attempt.last is None)),
        accepted=active.accepted + good,
        rejected=active.rejected + ~good,
        error=active.error + torch.where(good, error**stepper.adds_up, 0.0),
    )
    if attempt.last is not None:
        return moved._replace(first=torch.where(mask, attempt.last, active.first))
    return _evaluate_field(stepper, moved, good & (s != interval.stop))


def _evaluate_field(stepper: AdaptiveStepper, active: ActiveSamples, moved: Tensor) -> ActiveSamples:
    """The field where samples have moved: one evaluation, paid by them alone."""
    if not moved.any():
        return active
    fresh = stepper.field(active.x[moved], active.t[moved], moved)
    first = active.first.index_put((moved.nonzero()[:, 0],), fresh)
    return active._replace(first=first, evaluations=active.evaluations + moved)


def _gather(arrived: list[ActiveSamples], adds_up: float) -> Solution:
    """The samples in their first order."""
    all_of_them = ActiveSamples(*map(torch.cat, zip(*arrived, strict=True)))
    found = all_of_them.keep(all_of_them.row.argsort())
    return Solution(found.x, found.evaluations, found.accepted, found.rejected, found.error ** (1 / adds_up))


def _describe(active: ActiveSamples, place: int) -> str:
    row, t, step = (value[place].item() for value in (active.row, active.t, active.step))
    return f"sample {row} stands at t = {t:g} with a step of {step:.1e}"
