"""The adaptive loop: every sample walks at its own pace, and leaves the batch when it has arrived.

In each round every sample on its way attempts one step of its own length from its own time; where the estimated error
is too large it stays where it is and tries a shorter one. The samples that have arrived are taken out, so that the field
is asked only about those still walking. Nothing is shared between samples: no norm, no step, no time.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from solvers.method import Attempt
from solvers.step_control import LONGEST_SHARE, Before, Controller, Tolerance, root_mean_square


@dataclass(frozen=True, eq=False)
class Solution:
    """Where an adaptive solver arrived, and what it took, for each sample.

    Attributes:
        x: the states at the end, (B, *E).
        evaluations: calls of the field, int64, (B,).
        accepted, rejected: steps and vain attempts, int64, (B,).
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
    """What the loop asks of a method on an equation: the field, and a step that estimates its own error.

    Attributes:
        controller: what chooses the steps.
        evaluations: calls of the field in a step, the one at its start included unless the step before leaves it.
        adds_up: p, where the errors e of many steps make (sum e^p)^(1/p): 1 in the worst case, 2 if they are
            uncorrelated.
        resolution: what limits the shortest step, in words, with what to do about it.
    """

    controller: Controller
    evaluations: int
    adds_up: float = 1.0
    resolution: str = (
        "its error does not fall with the step: the field is not finite or not continuous there, or the dtype is too "
        "coarse; stop short of a singular time, or loosen the tolerances"
    )

    @abstractmethod
    def field(self, x: Tensor, t: Tensor) -> Tensor:
        """The field at states (B, *E) and their times (B,)."""

    @abstractmethod
    def attempt(self, x: Tensor, t: Tensor, s: Tensor, first: Tensor) -> Attempt:
        """Steps from t to s, each (B,), where the field at t is `first`."""

    def keep(self, rows: Tensor) -> AdaptiveStepper:
        """The same for some of the samples, a boolean mask (B,)."""
        return self

    def land(self, s: Tensor) -> Tensor:
        """The times nearest to s, (B,), at which a step may end."""
        return s


class ActiveSamples(NamedTuple):
    """The samples on their way: where they are, what they know, what they have spent. All (B,) but x and first.

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
    def depart(cls, x: Tensor, t: Tensor, first: Tensor, step: Tensor) -> Self:
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
                f"an adaptive solver walks between finite times, got {self.start} and {self.stop}; stop at a finite one"
            )
        if self.max_attempts < 1:
            raise ValueError(f"a sample needs at least one attempt, got {self.max_attempts}; ask for 10000")

    @property
    def span(self) -> float:
        """The way to go, > 0."""
        return abs(self.stop - self.start)

    @property
    def shortest(self) -> float:
        """The shortest step that float64 times still tell from no step."""
        return 1e-14 * max(abs(self.start), abs(self.stop))

    def target(self, pair: AdaptiveStepper, t: Tensor, step: Tensor) -> Tensor:
        """Where steps from t end, (B,): the rest of the way is divided evenly where it holds but a few."""
        rest = (self.stop - t).abs()
        steps = (rest / step.clamp(max=self.span / LONGEST_SHARE) - 1e-9).ceil().clamp(min=1)
        s = pair.land(t + (self.stop - t) / steps)
        return torch.where((steps == 1) | ((s - self.stop) * (self.stop - self.start) > 0), self.stop, s)


def solve_adaptively(pair: AdaptiveStepper, x: Tensor, road: Interval) -> Solution:
    """Carry x, (B, *E), along the road.

    Raises:
        ArithmeticError: the field is not finite at the start, or a step fell below what can be resolved.
        RuntimeError: a sample has not arrived after the attempts that the road gives it.
    """
    if road.start == road.stop or not x.numel():
        none = torch.zeros(x.shape[0], dtype=torch.int64, device=x.device)
        return Solution(x, none, none, none, none.double())
    walkers, arrived = _depart(pair, x, road), []
    for _ in range(road.max_attempts):
        walkers = _attempt_step(pair, walkers, road)
        there = walkers.t == road.stop
        if there.any():
            arrived.append(walkers.keep(there))
            walkers, pair = walkers.keep(~there), pair.keep(~there)
            if not walkers.row.numel():
                return _gather(arrived, pair.adds_up)
    raise RuntimeError(
        f"{_describe(walkers, 0)} after {road.max_attempts} attempts, on the way from {road.start:g} to "
        f"{road.stop:g}, and {len(walkers.row) - 1} more; loosen the tolerances, take a clock in which the equation is "
        "less stiff, or raise max_attempts"
    )


def _depart(pair: AdaptiveStepper, x: Tensor, road: Interval) -> ActiveSamples:
    t = torch.full((x.shape[0],), road.start, dtype=torch.float64, device=x.device)
    first = pair.field(x, t)
    if not torch.isfinite(first).all():
        raise ArithmeticError(
            f"the field is NaN or infinite at the start, t = {road.start:g}; look at the equation there, or start later"
        )
    return ActiveSamples.depart(x, t, first, pair.controller.first(road.tolerance, x, first, road.span))


def _attempt_step(pair: AdaptiveStepper, walkers: ActiveSamples, road: Interval) -> ActiveSamples:
    """One attempt of every sample."""
    s = road.target(pair, walkers.t, walkers.step)
    length = (s - walkers.t).abs()
    stuck = (length < road.shortest) & (s != road.stop) | (length >= walkers.refused)
    if stuck.any():
        where = _describe(walkers, int(stuck.nonzero()[0]))
        raise ArithmeticError(f"{where}, too short to be resolved: {pair.resolution}")
    attempt = pair.attempt(walkers.x, walkers.t, s, walkers.first)
    error = root_mean_square(attempt.error)
    quotient = road.tolerance.quotient(error, root_mean_square(walkers.x), root_mean_square(attempt.x))
    good = quotient <= 1
    before = Before(walkers.before, walkers.quotient)
    mask = good.reshape(-1, *(1,) * (walkers.x.ndim - 1))
    moved = walkers._replace(
        x=torch.where(mask, attempt.x, walkers.x),
        t=torch.where(good, s, walkers.t),
        step=pair.controller.next(length, quotient, before, walkers.refused.isfinite()),
        before=torch.where(good, length, walkers.before),
        quotient=torch.where(good, quotient, walkers.quotient),
        refused=torch.where(good, math.inf, length),
        evaluations=walkers.evaluations + (pair.evaluations - (attempt.last is None)),
        accepted=walkers.accepted + good,
        rejected=walkers.rejected + ~good,
        error=walkers.error + torch.where(good, error**pair.adds_up, 0.0),
    )
    if attempt.last is not None:
        return moved._replace(first=torch.where(mask, attempt.last, walkers.first))
    return _evaluate_field(pair, moved, good & (s != road.stop))


def _evaluate_field(pair: AdaptiveStepper, walkers: ActiveSamples, moved: Tensor) -> ActiveSamples:
    """The field where samples have moved: one evaluation, paid by them alone."""
    if not moved.any():
        return walkers
    fresh = pair.field(walkers.x[moved], walkers.t[moved])
    first = walkers.first.index_put((moved.nonzero()[:, 0],), fresh)
    return walkers._replace(first=first, evaluations=walkers.evaluations + moved)


def _gather(arrived: list[ActiveSamples], adds_up: float) -> Solution:
    """The samples in their first order."""
    all_of_them = ActiveSamples(*map(torch.cat, zip(*arrived, strict=True)))
    found = all_of_them.keep(all_of_them.row.argsort())
    return Solution(found.x, found.evaluations, found.accepted, found.rejected, found.error ** (1 / adds_up))


def _describe(walkers: ActiveSamples, place: int) -> str:
    row, t, step = (value[place].item() for value in (walkers.row, walkers.t, walkers.step))
    return f"sample {row} stands at t = {t:g} with a step of {step:.1e}"
