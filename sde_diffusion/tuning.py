r"""Solvers tuned to the model at hand: a table of numbers fitted to one model and one budget.

A solver of n calls in the chart of `default_solver` is, in full generality,

    y_{i+1} = a_i y_i + sum_{j <= i} w_ij F_{i-j},    F_i = F(y_i, u_i),                                            (1)

n (n + 5)/2 numbers with the noise levels u_i that the denoiser is told (`solvers.table`). They minimise the distances to
the flow's true end points, with m_b the mean square of x_n(b) - x*(b) over the event b,

    s^2 mean_b log(1 + m_b/s^2),    s a third of the data's deviation,                                              (2)

by Levenberg and Marquardt's method, once from the default rule's own numbers and once from plainer ones: least squares, in
which a trajectory that ends in another mode, where no small change brings it back, counts by its logarithm. The Gauss-Newton
matrix of (2) gives trajectory b the weight 1/(1 + m_b/s^2). The derivatives go through the solver in forward mode
(`solvers.sensitivity`), a few trajectories at a time; the told levels move as log(sigma/alpha). Trajectories that were not
trained on decide: the best state on them is kept, and the untuned solver where nothing beats it.

References:
    Shaul et al., Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and Flow Models, 2024,
        https://arxiv.org/abs/2403.01329
    Sabour, Fidler & Kreis, Align Your Steps: Optimizing Sampling Schedules in Diffusion Models, 2024,
        https://arxiv.org/abs/2404.14507
    Zhang et al., S4S: Solving for a Diffusion Model Solver, 2025, https://arxiv.org/abs/2502.17423
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from sde_diffusion.default_solver import default_solver, in_chart, shape
from sde_diffusion.denoiser import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sampling import initial_state
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.prior import GaussianPrior
from sde_diffusion.tuned import Tuned
from solvers.equations import ODE
from solvers.grids import tapered
from solvers.integrate import FixedGrid
from solvers.levenberg_marquardt import levenberg_marquardt
from solvers.methods.adams_bashforth import AdamsBashforth
from solvers.sensitivity import end_and_derivative, end_point
from solvers.table import Table, table_of
from solvers.wiener import PathSpec

HELD_OUT = 1 << 40
"""The first sample number of the trajectories that decide: none of them is ever trained on."""

CPU_ENTRIES, DEVICE_ENTRIES = 2**23, 2**27
"""Numbers of the derivatives of all fields held at a time: 64 MiB and 1 GiB in float64."""

FAR = 1 / 3
"""s of (2) in deviations of the data."""

ENOUGH, PATIENCE = 1e-3, 6
"""A descent ends when so many steps together gain less than this share: one short step may lead round a bend."""

Trajectories = tuple[Tensor, Tensor]
"""Starts in the chart (B, *E) and true ends (B, *E)."""

STARTS = 2
"""Where the search starts: from the default rule, and from a plainer solver. Either alone stalls now and then."""


@dataclass(frozen=True)
class TuneSettings:
    """How long to look: `iterations` from each of `STARTS` starts. `trajectories` train, as many again decide; `reference`
    calls find a true end point.

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
    deviation: float = 1.0,
    prior: GaussianPrior | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: Callable[[TuneProgress], None] | None = None,
    reference: Callable[[Tensor], Tensor] | None = None,
    model: str = "",
) -> Tuned:
    """The solver of `nfe` calls tuned to a model. `sample(tuned.reversal(sde, denoiser), tuned.solver(), ...)` uses it.

    Args:
        event_shape: *E of the model's events.
        deviation: of the data, as in `default_solver`.
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
    form, solver = default_solver(sde, denoiser, nfe, deviation)
    form = form if prior is None else form.starting_from(prior)
    draw = _Draw(form, event_shape, settings, dtype, device, reference or _fine(sde, denoiser, settings, deviation))
    sets = draw.trajectories(0), draw.trajectories(HELD_OUT)
    problem = _Problem(form, shape(nfe).weight / deviation, (FAR * deviation) ** 2, *sets)
    starts = [table_of(start, form.start, form.stop, nfe) for start in (solver, _plain(nfe, deviation))]
    found = _search(problem, starts, settings.iterations, progress)
    record = {
        "process": repr(sde),
        "model": model or type(denoiser).__name__,
        "event_shape": list(event_shape),
        "deviation": deviation,
        "dtype": str(dtype).removeprefix("torch."),
        "seed": settings.seed,
        "trained_on_samples": [0, len(sets[0][0])],
        "held_out_samples": [HELD_OUT, HELD_OUT + len(sets[1][0])],
        "reference": "given" if reference else f"default solver of {settings.reference} calls",
        "iterations": found.iterations,
        "held_out_distance_before": found.before,
        "held_out_distance_after": found.after,
        "torch": torch.__version__,
    }
    return problem.tuned(found.numbers, record)


@dataclass(frozen=True)
class _Draw:
    """Trajectories by their sample numbers: starts from the prior, true ends by the reference."""

    form: Reversal
    event_shape: tuple[int, ...]
    settings: TuneSettings
    dtype: torch.dtype
    device: torch.device | str
    truth: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def trajectories(self, first: int) -> Trajectories:
        form = self.form
        indices = torch.arange(first, first + self.settings.count(self.event_shape), device=self.device)
        spec = PathSpec(self.settings.seed, indices, self.event_shape, form.start, form.stop, self.dtype)
        x = initial_state(form, spec)
        return form.encode(x, form.start), torch.cat([self.truth(part) for part in _parts(x, 4)])


def _fine(sde, denoiser, settings: TuneSettings, deviation: float) -> Callable[[Tensor], Tensor]:
    form, solver = default_solver(sde, denoiser, settings.reference, deviation)

    def truth(x: Tensor) -> Tensor:
        y = solver(form.equation, form.encode(x, form.start), form.start, form.stop)
        return form.decode(y, form.stop)

    return truth


@dataclass(frozen=True)
class _Problem:
    """What (2) needs: the equation in its chart, the chart's weight, s^2, and the trajectories of both kinds.

    The parameters are those of a `Table` whose times are log(sigma/alpha), in float64.
    """

    form: Reversal
    weight: float
    far: float
    train: Trajectories
    held_out: Trajectories

    def level(self, reading: Tensor) -> Tensor:
        """log(sigma/alpha) of the clock's reading u = 1/(c + alpha/sigma)."""
        return -(1 / reading - self.weight).log()

    def reading(self, level: Tensor) -> Tensor:
        """The clock's reading at log(sigma/alpha)."""
        return 1 / (self.weight + (-level).exp())

    def drift(self, y: Tensor, level: Tensor) -> Tensor:
        """F of (1) at a level."""
        return cast(ODE, self.form.equation).drift(y, self.reading(level))

    @torch.no_grad()
    def distance(self, numbers: Tensor, trajectories: Trajectories) -> float:
        """The root of (2)."""
        table, total, (y, end) = Table.of(numbers), 0.0, trajectories
        for start, true in zip(_parts(y, len(table.weights)), _parts(end, len(table.weights)), strict=True):
            squares = self._residuals(end_point(self.drift, table, start), true).square().mean(1)
            total += (squares / self.far).log1p().sum().item()
        return math.sqrt(self.far * total / len(end))

    @torch.no_grad()
    def normal(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """The Gauss-Newton matrix and half the gradient of (2), on the CPU."""
        table, (y, end) = Table.of(numbers), self.train
        matrix, gradient = numbers.new_zeros(len(numbers), len(numbers)), torch.zeros_like(numbers)
        held = len(table.weights) * len(numbers) // 2
        for start, true in zip(_parts(y, held), _parts(end, held), strict=True):
            last, columns = end_and_derivative(self.drift, table, start)
            residuals = self._residuals(last, true)
            weights = 1 / (1 + residuals.square().mean(1) / self.far)
            rows = self.form.decode(columns, self.form.stop).flatten(2).double()
            weighted = (weights.reshape(-1, 1, 1) * rows).transpose(0, 1).flatten(1)
            matrix += (weighted @ rows.transpose(0, 1).flatten(1).mT).to(matrix)
            gradient += (weighted @ residuals.flatten()).to(gradient)
        return matrix / end.numel(), gradient / end.numel()

    def _residuals(self, y: Tensor, end: Tensor) -> Tensor:
        """x_n - x* in float64, shape (B, d)."""
        return (self.form.decode(y, self.form.stop) - end).flatten(1).double()

    def tuned(self, numbers: Tensor, record: dict[str, Any]) -> Tuned:
        """The numbers as a solver."""
        table, form = Table.of(numbers), self.form
        times, rows = self.reading(table.times).tolist(), tuple(tuple(row.tolist()) for row in table.weights)
        return Tuned(self.weight, form.start, form.stop, tuple(times), tuple(table.factors.tolist()), rows, record)


def _parts(x: Tensor, copies: int) -> tuple[Tensor, ...]:
    """The batch in parts of which `copies` fit in the memory meant for them."""
    entries = CPU_ENTRIES if x.device.type == "cpu" else DEVICE_ENTRIES
    return x.split(max(1, entries // (copies * x[0].numel())))


@dataclass(frozen=True)
class _Found:
    """The numbers that did best on the trajectories that decide, and how far off they were there."""

    numbers: Tensor
    before: float
    after: float
    iterations: int


def _plain(nfe: int, deviation: float) -> FixedGrid:
    """Adams-Bashforth 2 on a grid that has points to spare for low noise: the better start for narrow modes."""
    levels = tapered(0.8 * deviation, 2.25, 0.19)
    return FixedGrid(AdamsBashforth(2), nfe, in_chart(levels, shape(nfe).weight / deviation))


def _search(
    problem: _Problem, untuned: list[Table], iterations: int, progress: Callable[[TuneProgress], None] | None
) -> _Found:
    """Descend (2) from each table, and remember the best on the trajectories that decide; `before` is the first table's."""
    starts = [Table(problem.level(table.times), table.factors, table.weights).flat() for table in untuned]
    distances = [problem.distance(start, problem.held_out) for start in starts]
    nearest = distances.index(min(distances))
    found, taken = _Found(starts[nearest], distances[0], distances[nearest], 0), 0
    for start in starts:
        for report, numbers in _descent(problem, start, iterations):
            taken += 1
            if report.held_out < found.after:
                found = _Found(numbers, found.before, report.held_out, taken)
            if progress is not None:
                progress(replace(report, iteration=taken))
    return found


def _descent(problem: _Problem, start: Tensor, iterations: int) -> Iterator[tuple[TuneProgress, Tensor]]:
    """The states of the search, until it has converged or the iterations are spent."""
    steps = levenberg_marquardt(start, lambda numbers: problem.distance(numbers, problem.train), problem.normal)
    last = [math.inf] * PATIENCE
    for i, (numbers, distance) in zip(range(iterations), steps, strict=False):
        yield TuneProgress(i + 1, distance, problem.distance(numbers, problem.held_out)), numbers
        if distance > last[-PATIENCE] * (1 - ENOUGH):
            return
        last.append(distance)
