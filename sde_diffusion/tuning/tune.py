r"""Solvers tuned to the model at hand: a table of numbers fitted to one model and one budget.

A solver of n calls in the chart of `default_solver` is, in full generality,

    y_{i+1} = a_i y_i + sum_{j <= i} w_ij F_{i-j},    F_i = F(y_i, u_i),                                            (1)

n (n + 5)/2 numbers with the noise levels u_i that the denoiser gets (`solvers.table`). They minimise the distances to
the flow's true end points, as `tuning.least_squares` weighs them, in units of s, a third of the data's standard deviation:

    s^2 mean_b log(1 + m_b/s^2),    m_b the mean square of x_n(b) - x*(b) over the event b,                         (2)

by Levenberg and Marquardt's method, from each of the solvers of `tuning.initial_tables`. The derivatives go through the solver in
forward mode (`solvers.sensitivity`), a few trajectories at a time; the noise levels move as log(sigma/alpha).

Where the data are separate points, the end hardly moves with the numbers: a trajectory has chosen its point long before. The
descent from UniPC's formulas therefore looks at the choice as well, at the step nearest to sigma/alpha = s: there x_i - x*_i
counts in units of sigma/10, as one more term of (2).

Trajectories that were not trained on decide, by (2) alone: the best state on them is kept, and the nearest untuned solver where
nothing beats it.

References:
    Shaul et al., Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and Flow Models, 2024,
        https://arxiv.org/abs/2403.01329
    Sabour, Fidler & Kreis, Align Your Steps: Optimizing Sampling Schedules in Diffusion Models, 2024,
        https://arxiv.org/abs/2404.14507
    Zhang et al., S4S: Solving for a Diffusion Model Solver, 2025, https://arxiv.org/abs/2502.17423
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.io.finite import finite_rows
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sampling.default_ode import default_solver, shape
from sde_diffusion.sampling.sample import initial_state
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.prior import GaussianPrior
from sde_diffusion.tuning.initial_tables import initial_tables
from sde_diffusion.tuning.least_squares import (
    Problem,
    TargetState,
    TrajectoryBatch,
    parts,
)
from solvers.levenberg_marquardt import levenberg_marquardt
from solvers.table import Table
from solvers.wiener import PathSpec

HELD_OUT = 1 << 40
"""The first sample number of the trajectories that decide: none of them is ever trained on."""

DISTANCE_SCALE = 1 / 3
"""s of (2) in standard deviations of the data."""

CHOICE_SCALE = 0.1
"""The unit of the choice in standard deviations of the noise there."""

MIN_GAIN, PATIENCE = 1e-3, 6
"""A descent ends when so many steps together gain less than this share: one short step may lead round a bend."""

HELD_OUT_FACTOR = 4
"""Trajectories that decide for each one trained on: they cost no derivatives, and a small share needs many."""

STARTS = 3
"""Solvers from which the search starts: the default rule, a plainer one, and UniPC's formulas."""


@dataclass(frozen=True)
class TuneSettings:
    """How long to look: `iterations` from each of `STARTS` starts. `trajectories` train, `HELD_OUT_FACTOR` times as many
    decide; `reference` calls find a true end point.

    Without a number of trajectories, there are as many as hold 8192 coordinates, but 256 to 4096: the fewer coordinates
    a trajectory has, the more of the mean is in the few that pass between two modes.
    """

    iterations: int = 40
    trajectories: int | None = None
    reference: int = 200
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.iterations, 1 if self.trajectories is None else self.trajectories, self.reference) < 1:
            raise ValueError(f"iterations, trajectories and reference are at least 1, got {self}; correct them")

    def count(self, event_shape: tuple[int, ...]) -> int:
        """The number of trajectories of each kind."""
        return self.trajectories or min(4096, max(256, 8192 // math.prod(event_shape)))


@dataclass(frozen=True)
class TuneProgress:
    """One iteration: the root of (2) over the trajectories trained on, and over those that decide."""

    iteration: int
    distance: float
    held_out: float


def tune(
    denoiser: Denoiser,
    sde: LinearSDE,
    nfe: int,
    event_shape: tuple[int, ...],
    settings: TuneSettings | None = None,
    *,
    data_std: float = 1.0,
    prior: GaussianPrior | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: Callable[[TuneProgress], None] | None = None,
    reference: Callable[[Tensor], Tensor] | None = None,
    model: str = "",
) -> Tuned:
    """The solver of `nfe` calls tuned to a model. `sample(tuned.reversal(sde, denoiser), tuned.solver(), ...)` uses it.

    Args:
        event_shape: *E, the shape of one sample.
        data_std: of the data, as in `default_solver`.
        prior: the law of x at the horizon, the process's own by default.
        progress: called after each iteration.
        reference: x at the horizon (B, *E) -> the flow's true x at t_min, where it is known better than by the default
            solver of `settings.reference` calls.
        model: what the record calls the denoiser, its class by default.

    Raises:
        ValueError: a budget below 2.
    """
    if nfe < 2:
        raise ValueError(f"there is nothing to tune in a solver of {nfe} calls; give a budget of at least 2")
    settings = settings or TuneSettings()
    form, solver = default_solver(sde, denoiser, nfe, data_std)
    form = form if prior is None else form.with_prior(prior)
    flow = _flow(sde, denoiser, settings.reference, data_std)
    problem = Problem(form, shape(nfe).weight / data_std)
    unit = DISTANCE_SCALE * data_std / form.from_chart(torch.ones(()), form.stop).item()
    draw = _Draw(form, nfe, unit, event_shape, settings, dtype, device, reference or (lambda x: flow(x, sde.t_min)))
    ends, held_out = draw.goal(0, 1), draw.goal(HELD_OUT, HELD_OUT_FACTOR)
    tables = initial_tables(sde, form, solver, data_std)
    choice = _choice(problem, tables[-1], ends.y, flow, DISTANCE_SCALE * data_std)
    goals = [ends, ends, replace(ends, stations=(choice, *ends.stations))]
    search = _Search(problem, DISTANCE_SCALE * data_std, held_out, settings.iterations, progress)
    found = search.run(tables, goals)
    record = {
        "process": repr(sde),
        "model": model or type(denoiser).__name__,
        "event_shape": list(event_shape),
        "data_std": data_std,
        "dtype": str(dtype).removeprefix("torch."),
        "seed": settings.seed,
        "trained_on_samples": [0, len(ends.y)],
        "held_out_samples": [HELD_OUT, HELD_OUT + len(held_out.y)],
        "reference": "given" if reference else f"default solver of {settings.reference} calls",
        "iterations": found.iterations,
        "held_out_distance_before": found.before,
        "held_out_distance_after": found.after,
        "torch": torch.__version__,
    }
    return _tuned(problem, found.numbers, record)


@dataclass(frozen=True)
class _Draw:
    """Trajectories by their sample numbers: starts from the prior, true ends by the reference, `unit` of their distance."""

    form: Reversal
    nfe: int
    unit: float
    event_shape: tuple[int, ...]
    settings: TuneSettings
    dtype: torch.dtype
    device: torch.device | str
    truth: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def goal(self, first: int, times: int) -> TrajectoryBatch:
        """So many times the settings' number of trajectories, from sample number `first` on."""
        form, count = self.form, times * self.settings.count(self.event_shape)
        indices = torch.arange(first, first + count, device=self.device)
        spec = PathSpec(self.settings.seed, indices, self.event_shape, form.start, form.stop, self.dtype)
        x = initial_state(form, spec)
        end = finite_rows(torch.cat([self.truth(part) for part in parts(x, 4)]), "true ends")
        return TrajectoryBatch(
            form.to_chart(x, form.start), (TargetState(self.nfe, self.unit, form.to_chart(end, form.stop)),)
        )


def _flow(sde: LinearSDE, denoiser: Denoiser, calls: int, data_std: float) -> Callable[[Tensor, float], Tensor]:
    """x at t from x at the horizon, by the default solver of many calls."""
    form, solver = default_solver(sde, denoiser, calls, data_std)

    def flow(x: Tensor, t: float) -> Tensor:
        return form.solve(solver, x, stop=form.clock.from_time(t))

    return flow


@torch.no_grad()
def _choice(
    problem: Problem, table: Table, y: Tensor, flow: Callable[[Tensor, float], Tensor], level: float
) -> TargetState:
    """The step of a table that is nearest to sigma/alpha = level, and the flow's states there."""
    form, levels = problem.form, problem.level(table.times)
    step = 1 + int((levels[1:] - math.log(level)).abs().argmin())
    reading = table.times[step].item()
    x, t = form.from_chart(y, form.start), form.clock.to_time(reading)
    true = torch.cat([flow(part, t) for part in parts(x, 4)])
    return TargetState(step, CHOICE_SCALE * reading, form.to_chart(true, reading))


def _tuned(problem: Problem, numbers: Tensor, record: dict[str, Any]) -> Tuned:
    """The numbers as a solver."""
    table, form = Table.of(numbers), problem.form
    times, rows = problem.reading(table.times).tolist(), tuple(tuple(row.tolist()) for row in table.weights)
    return Tuned(problem.weight, form.start, form.stop, tuple(times), tuple(table.factors.tolist()), rows, record)


@dataclass(frozen=True)
class _Found:
    """The numbers that did best on the trajectories that decide, and how far off they were there."""

    numbers: Tensor
    before: float
    after: float
    iterations: int


@dataclass(frozen=True)
class _Search:
    """Descents whose states are judged by the trajectories that decide; distances in units of `far`, s of (2)."""

    problem: Problem
    far: float
    held_out: TrajectoryBatch
    iterations: int
    progress: Callable[[TuneProgress], None] | None

    def run(self, untuned: Sequence[Table], goals: Sequence[TrajectoryBatch]) -> _Found:
        """Descend from each table to its goal, and remember the best; `before` is the first table's distance."""
        begins = [Table(self.problem.level(table.times), table.factors, table.weights).flat() for table in untuned]
        distances = [self.distance(numbers, self.held_out) for numbers in begins]
        nearest = distances.index(min(distances))
        found, taken = _Found(begins[nearest], distances[0], distances[nearest], 0), 0
        for begin, goal in zip(begins, goals, strict=True):
            for report, numbers in self._descent(begin, goal):
                taken += 1
                if report.held_out < found.after:
                    found = _Found(numbers, found.before, report.held_out, taken)
                if self.progress is not None:
                    self.progress(replace(report, iteration=taken))
        return found

    def distance(self, numbers: Tensor, goal: TrajectoryBatch) -> float:
        """The root of (2)."""
        return self.far * math.sqrt(self.problem.loss(numbers, goal))

    def _descent(self, begin: Tensor, goal: TrajectoryBatch) -> Iterator[tuple[TuneProgress, Tensor]]:
        """The states of the search, until it has converged or the iterations are spent."""
        steps = levenberg_marquardt(
            begin, lambda numbers: self.distance(numbers, goal), lambda numbers: self.problem.normal(numbers, goal)
        )
        last = [math.inf] * PATIENCE
        for i, (numbers, distance) in zip(range(self.iterations), steps, strict=False):
            yield TuneProgress(i + 1, distance, self.distance(numbers, self.held_out)), numbers
            if distance > last[-PATIENCE] * (1 - MIN_GAIN):
                return
            last.append(distance)
