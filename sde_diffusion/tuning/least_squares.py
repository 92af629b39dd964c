r"""What tuning minimises, and its Gauss-Newton matrix: how far a table's states are from the flow's, at chosen steps.

Trajectory b starts at y(b); at a target state k the table's state y_k(b) should be the flow's y*_k(b). With m_k(b) the mean over
the event of the square of (y_k(b) - y*_k(b))/unit_k, the loss is

    mean_b sum_k log(1 + m_k(b)),                                                                                    (1)

least squares in which a trajectory that is far off, where no small change brings it back, counts by its logarithm: in the
Gauss-Newton matrix a target state has the weight 1/(1 + m_k(b)).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sde_diffusion.reversal.base import Reversal
from solvers.equations import ODE
from solvers.sensitivity import states, states_and_derivatives
from solvers.table import Table

CPU_ENTRIES, DEVICE_ENTRIES = 2**23, 2**27
"""Numbers of the derivatives of all fields held at a time: 64 MiB and 1 GiB in float64."""


@dataclass(frozen=True)
class TargetState:
    """After `step` steps the state should be `true` (B, *E); distances are measured in `unit`."""

    step: int
    unit: float
    true: Tensor

    def residuals(self, y: Tensor) -> Tensor:
        """(y - true)/unit in float64, shape (B, d)."""
        return ((y - self.true).flatten(1).double()) / self.unit


@dataclass(frozen=True)
class TrajectoryBatch:
    """Trajectories: where they start in the chart (B, *E), and the target states on their way, the end among them."""

    y: Tensor
    stations: tuple[TargetState, ...]

    def parts(self, copies: int) -> Iterator[TrajectoryBatch]:
        """The batch in parts of which `copies` fit in the memory meant for them."""
        trues = [parts(station.true, copies) for station in self.stations]
        for y, *split in zip(parts(self.y, copies), *trues, strict=True):
            yield TrajectoryBatch(
                y, tuple(TargetState(s.step, s.unit, t) for s, t in zip(self.stations, split, strict=True))
            )


def parts(x: Tensor, copies: int) -> tuple[Tensor, ...]:
    """A batch in parts of which `copies` fit in the memory meant for them."""
    entries = CPU_ENTRIES if x.device.type == "cpu" else DEVICE_ENTRIES
    return x.split(max(1, entries // (copies * x[0].numel())))


@dataclass(frozen=True)
class Problem:
    """The equation in its chart and the chart's weight.

    The parameters are those of a `Table` whose times are log(sigma/alpha), in float64.
    """

    form: Reversal
    weight: float

    def level(self, reading: Tensor) -> Tensor:
        """log(sigma/alpha) at the time variable u = 1/(c + alpha/sigma)."""
        return -(1 / reading - self.weight).log()

    def reading(self, level: Tensor) -> Tensor:
        """The time variable u at log(sigma/alpha)."""
        return 1 / (self.weight + (-level).exp())

    def drift(self, y: Tensor, level: Tensor) -> Tensor:
        """The field at a level."""
        return cast(ODE, self.form.equation).drift(y, self.reading(level))

    @torch.no_grad()
    def loss(self, numbers: Tensor, goal: TrajectoryBatch) -> float:
        """Equation (1)."""
        table, total = Table.of(numbers), 0.0
        for part in goal.parts(len(table.weights)):
            at = {station.step: station for station in part.stations}
            for step, y in enumerate(states(self.drift, table, part.y), 1):
                if step in at:
                    total += at[step].residuals(y).square().mean(1).log1p().sum().item()
        return total / len(goal.y)

    @torch.no_grad()
    def normal(self, numbers: Tensor, goal: TrajectoryBatch) -> tuple[Tensor, Tensor]:
        """The Gauss-Newton matrix and half the gradient of (1), on the CPU."""
        table = Table.of(numbers)
        matrix, gradient = numbers.new_zeros(len(numbers), len(numbers)), torch.zeros_like(numbers)
        for part in goal.parts(len(table.weights) * len(numbers) // 2):
            at = {station.step: station for station in part.stations}
            for step, (y, columns) in enumerate(states_and_derivatives(self.drift, table, part.y), 1):
                if step in at:
                    _add(matrix, gradient, at[step].residuals(y), columns.flatten(2).double() / at[step].unit)
        return matrix / len(goal.y), gradient / len(goal.y)


def _add(matrix: Tensor, gradient: Tensor, residuals: Tensor, rows: Tensor) -> None:
    """What a target state adds: residuals (B, d), and their derivatives (B, P, d) in the first P numbers."""
    weights = 1 / (1 + residuals.square().mean(1)) / residuals.shape[1]
    weighted = (weights.reshape(-1, 1, 1) * rows).transpose(0, 1).flatten(1)
    known = rows.shape[1]
    matrix[:known, :known] += (weighted @ rows.transpose(0, 1).flatten(1).mT).to(matrix)
    gradient[:known] += (weighted @ residuals.flatten()).to(gradient)
