"""An equation of every kind, with a state and a path, on which the behaviour of a method is checked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.equations import (
    ODE,
    Density,
    DiagonalSDE,
    Equation,
    ItoSDE,
    MarkovChain,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
)
from solvers.integrate import Solver
from solvers.testing.problems import additive, geometric_brownian, manufactured
from solvers.wiener import KeyedIncrements, PathSpec, WienerPath

START, STOP = 1.5, 0.3
ROWS, EVENT = 5, (3,)


@dataclass(frozen=True)
class Probe:
    """A nonlinear equation, run downwards from START to STOP."""

    equation: Equation

    def state(self, rows: Sequence[int] = range(ROWS), dtype: torch.dtype = torch.float64) -> Tensor:
        """Some of the samples, (B, 3): a sample is a function of its number."""
        numbers = torch.arange(ROWS * 3, dtype=torch.float64).reshape(ROWS, 3)
        return (1.5 + torch.sin(2.3 * numbers))[list(rows)].to(dtype)

    def path(self, rows: Sequence[int] = range(ROWS), dtype: torch.dtype = torch.float64) -> WienerPath | None:
        """Noise that belongs to the samples' numbers; None for a deterministic equation."""
        spec = PathSpec(7, torch.tensor(list(rows)), EVENT, START, STOP, dtype)
        return KeyedIncrements(spec) if self.equation.stochastic else None

    def run(self, solver: Solver, rows: Sequence[int] = range(ROWS), dtype: torch.dtype = torch.float64) -> Tensor:
        """Where the samples end, (B, 3)."""
        return solver(self.equation, self.state(rows, dtype), START, STOP, self.path(rows, dtype))


def probe(kind: type[Equation], subject: Any = None) -> Probe:
    """The probe of a kind of equation; `subject` decides which transport a predictor is given."""
    if kind in (ODE, SemilinearODE):
        return Probe(manufactured(kind, "sine")[0])
    if kind in (ItoSDE, SemilinearSDE, MarkovChain):
        return Probe(additive(kind, bend=1.0))
    if kind is DiagonalSDE:
        return Probe(geometric_brownian())
    if kind is RenoisedODE:
        return Probe(RenoisedODE(lambda x, t: torch.sin(x) / (1 + t), lambda t, up: math.sqrt((up - t) * (up + t))))
    if kind is Density:
        return Probe(Density(lambda x: -0.5 * x.square().flatten(1).sum(1), lambda x: -x))
    if kind is TargetFamily:
        orders = getattr(subject, "predictor", subject).orders
        transport = next(k for k in (ItoSDE, SemilinearSDE, ODE, SemilinearODE) if k in orders)
        return Probe(TargetFamily(probe(transport).equation, lambda x, t: -x, lambda t: 1.0))
    raise TypeError(f"there is no probe for {kind.__name__}; the kit knows the equations of solvers.equations")


def without_noise(kind: type[Equation]) -> bool:
    """Whether equations of this kind take no path."""
    return kind in (ODE, SemilinearODE)
