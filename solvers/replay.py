"""The evaluations of one solve, kept and used again: another formula on the same fields costs no evaluation.

Two formulas of different order on the same fields differ by about the error of the lower one: an embedded error estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from solvers.equations import ODE
from solvers.integrate import Solver


@dataclass(frozen=True)
class Recording(Solver):
    """A solver of an `ODE` that writes each field it evaluates into `fields`, by its time."""

    inner: Solver
    fields: dict[float, Tensor]

    def __call__(self, equation: Any, x: Tensor, start: float, stop: float, noise: Any = None) -> Tensor:
        """What `inner` returns."""

        def drift(x: Tensor, t: Any) -> Tensor:
            self.fields[float(t)] = equation.drift(x, t)
            return self.fields[float(t)]

        return self.inner(replace(equation, drift=drift), x, start, stop, noise)


@dataclass(frozen=True)
class Replay(Solver):
    """A solver that takes recorded fields in the place of the equation's. KeyError for a time at which none was recorded."""

    inner: Solver
    fields: dict[float, Tensor]

    def __call__(self, equation: Any, x: Tensor, start: float, stop: float, noise: Any = None) -> Tensor:
        """What `inner` makes of the recorded fields."""
        return self.inner(ODE(lambda x, t: self.fields[float(t)]), x, start, stop, noise)
