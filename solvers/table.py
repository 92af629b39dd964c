r"""A multistep method as a table of numbers, and the table of any method of fixed coefficients.

    y_{i+1} = a_i y_i + sum_{j <= i} w_ij F_{i-j},    F_i = drift(y_i, t_i),    i = 0 .. n - 1                     (1)

holds every explicit method of n evaluations whose stages are sums of the initial state and the fields known by then:
n (n + 5)/2 numbers. The times are those at which the drift is evaluated; no y_i but the last has to lie near the solution.

References:
    Shaul et al., Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and Flow Models, 2024,
        https://arxiv.org/abs/2403.01329 (the family (1))
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.elementwise import Coefficient
from solvers.equations import ODE, Field
from solvers.integrate import FixedGrid


@dataclass(frozen=True)
class Table:
    """The numbers of (1) in float64: times t (n,), factors a (n,), weights w, row i of shape (i + 1,), newest first."""

    times: Tensor
    factors: Tensor
    weights: Sequence[Tensor]

    def flat(self) -> Tensor:
        """(t_i, a_i, w_i0, ..., w_ii) for each i in turn, shape (n (n + 5)/2,)."""
        rows = zip(self.times.split(1), self.factors.split(1), self.weights, strict=True)
        return torch.cat([part for row in rows for part in row])

    @classmethod
    def of(cls, numbers: Tensor) -> Table:
        """The table whose `flat` these numbers are; differentiable."""
        steps = (math.isqrt(25 + 8 * len(numbers)) - 5) // 2
        rows = numbers.split([i + 3 for i in range(steps)])
        return cls(torch.stack([row[0] for row in rows]), torch.stack([row[1] for row in rows]), [r[2:] for r in rows])


def table_of(walk: Callable[[Field, Tensor], Tensor], calls: int) -> Table:
    """The table of `walk`, which carries a state to the end and evaluates the field it is given `calls` times in all.

    The i-th call is answered by the i-th unit vector and the initial state is one more, so that every later state is its
    own row of coefficients. Any linear changes of variables may come between: what counts is the state at the evaluation.

    Raises:
        ValueError: another number of calls, or states that are no sums of the initial one and the fields.
    """
    units = torch.eye(calls + 1, dtype=torch.float64)
    states: list[Tensor] = []
    times: list[float] = []

    def field(y: Tensor, t: Coefficient) -> Tensor:
        states.append(y)
        times.append(float(t))
        return units[min(len(times), calls)][None]

    end = walk(field, units[:1])
    if len(times) != calls:
        raise ValueError(
            f"the solver evaluates the drift {len(times)} times, {calls} were declared; correct the number"
        )
    rows = torch.cat([*states, end])
    factors = rows[1:, 0] / rows[:-1, 0]
    weights = rows[1:, 1:] - factors.unsqueeze(1) * rows[:-1, 1:]
    if not (torch.isfinite(rows).all() and torch.isfinite(factors).all()):
        raise ValueError("a state forgets the initial one and has no row; choose a method whose steps keep it")
    return Table(torch.tensor(times, dtype=torch.float64), factors, [weights[i, : i + 1].flip(0) for i in range(calls)])


def table_on(solver: FixedGrid, start: float, stop: float, calls: int) -> Table:
    """The table of a solver of ordinary equations between two times."""
    return table_of(lambda field, y: solver(ODE(field), y, start, stop), calls)
