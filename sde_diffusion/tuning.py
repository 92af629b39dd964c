r"""Solvers tuned to the model at hand: a time grid and multistep coefficients learned for one model and one budget.

A solver of n calls in the chart of `default_solver` is n + 1 times and the weights of

    y_{i+1} = y_i + h_i sum_{j <= min(i, K)} (a_ij + d_ij) F_{i-j},                                              (1)

with a_ij the Adams-Bashforth weights of the present grid, so that d = 0 is a method of high order whatever the times. The
logarithms of the step sizes and the d_ij, a few hundred numbers at most, descend the mean distance to the flow's true end
points, by gradient through the solver, over a few hundred trajectories. Trajectories that were not trained on decide: the
best state on them is kept, and the untuned solver where nothing beats it.

References:
    Shaul et al., Bespoke Non-Stationary Solvers for Fast Sampling of Diffusion and Flow Models, 2024,
        https://arxiv.org/abs/2403.01329
    Sabour, Fidler & Kreis, Align Your Steps: Optimizing Sampling Schedules in Diffusion Models, 2024,
        https://arxiv.org/abs/2404.14507
    Zhang et al., S4S: Solving for a Diffusion Model Solver, 2025, https://arxiv.org/abs/2502.17423
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor

from sde_diffusion.default_solver import default_solver, shape
from sde_diffusion.denoiser import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sampling import initial_state
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.tuned import Tuned
from solvers.equations import ODE
from solvers.wiener import PathSpec

_MEMORY = 5
_HELD_OUT = 1 << 40
"""The first sample number of the trajectories that decide: none of them is ever trained on."""


@dataclass(frozen=True)
class TuneSettings:
    """How long to look. `trajectories` train, as many again decide; `reference` is the cost of a true end point."""

    iterations: int = 400
    trajectories: int = 512
    batch: int = 256
    learning_rate: float = 0.02
    reference: int = 200
    seed: int = 0


@dataclass(frozen=True)
class TuneProgress:
    """One iteration: the loss of its batch, and the held-out distance where it was measured (else None)."""

    iteration: int
    loss: float
    held_out: float | None


def tune(
    denoiser: Denoiser,
    sde: LinearSDE,
    nfe: int,
    event_shape: tuple[int, ...],
    settings: TuneSettings | None = None,
    *,
    deviation: float = 1.0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
    progress: Callable[[TuneProgress], None] | None = None,
    reference: Callable[[Tensor], Tensor] | None = None,
) -> Tuned:
    """The solver of `nfe` calls tuned to a model. `sample(tuned.reversal(sde, denoiser), tuned.solver(), ...)` uses it.

    Args:
        event_shape: *E of the model's events.
        deviation: of the data, as in `default_solver`.
        progress: called after each iteration.
        reference: x at the horizon (B, *E) -> the flow's true x at t_min, where it is known better than by the default
            solver of `settings.reference` calls.

    Raises:
        ValueError: a budget below 2.
    """
    if nfe < 2:
        raise ValueError(f"there is nothing to tune in a solver of {nfe} calls; give a budget of at least 2")
    settings = settings or TuneSettings()
    problem = _problem(denoiser, sde, nfe, event_shape, settings, deviation, dtype, device, reference)
    search = _Search(problem, _Numbers.start(problem.grid), settings)
    for report in search.run():
        if progress is not None:
            progress(report)
    return search.result(repr(sde), deviation)


@dataclass(frozen=True)
class _Problem:
    """What is tuned: the reversal, the untuned grid, and trajectories (start in the chart, true end) to train and decide."""

    reversal: Reversal
    weight: float
    grid: Tensor
    train: tuple[Tensor, Tensor]
    held_out: tuple[Tensor, Tensor]
    untuned: float


def _problem(denoiser, sde, nfe, event_shape, settings, deviation, dtype, device, reference) -> _Problem:
    form, solver = default_solver(sde, denoiser, nfe, deviation)
    weight = shape(nfe).weight / deviation
    truth = reference or _fine(sde, denoiser, settings.reference, deviation)
    sets = []
    for first in (0, _HELD_OUT):
        indices = torch.arange(first, first + settings.trajectories, device=device)
        spec = PathSpec(settings.seed, indices, event_shape, form.start, form.stop, dtype)
        x = initial_state(form, spec)
        with torch.no_grad():
            sets.append((form.encode(x, form.start), truth(x)))
    y, end = sets[1]
    with torch.no_grad():
        untuned = _distance(form.decode(solver(form.equation, y, form.start, form.stop), form.stop), end)
    return _Problem(
        form,
        weight,
        solver.spacing(form.start, form.stop, nfe),
        sets[0],
        sets[1],
        untuned.square().mean().sqrt().item(),
    )


def _fine(sde, denoiser, calls: int, deviation: float) -> Callable[[Tensor], Tensor]:
    form, solver = default_solver(sde, denoiser, calls, deviation)

    def truth(x: Tensor) -> Tensor:
        y = solver(form.equation, form.encode(x, form.start), form.start, form.stop)
        return form.decode(y, form.stop)

    return truth


@dataclass
class _Numbers:
    """The learned numbers: logarithms of the steps (n,) and corrections d (n, K), both float64."""

    log_steps: Tensor
    corrections: Tensor
    start_time: float
    stop_time: float

    @classmethod
    def start(cls, grid: Tensor) -> _Numbers:
        steps = grid.diff().abs().log()
        zeros = torch.zeros(len(steps), min(_MEMORY, len(steps)), dtype=torch.float64)
        return cls(steps.requires_grad_(), zeros.requires_grad_(), grid[0].item(), grid[-1].item())

    def grid(self) -> Tensor:
        """The times, differentiable, with fixed ends."""
        shares = torch.softmax(self.log_steps, 0).cumsum(0)[:-1]
        inner = self.start_time + (self.stop_time - self.start_time) * shares
        ends = torch.tensor([self.start_time, self.stop_time], dtype=torch.float64)
        return torch.cat([ends[:1], inner, ends[1:]])

    def rows(self, grid: Tensor) -> list[Tensor]:
        """The weights of (1) times h, one row for each step, newest field first."""
        return [self._row(grid, i) for i in range(len(grid) - 1)]

    def _row(self, grid: Tensor, i: int) -> Tensor:
        k = min(i + 1, self.corrections.shape[1])
        h = grid[i + 1] - grid[i]
        nodes = (grid[i - k + 1 : i + 1].flip(0) - grid[i]) / h
        powers = torch.arange(k, dtype=torch.float64)
        vandermonde = torch.stack([nodes**p for p in range(k)])
        return h * (torch.linalg.solve(vandermonde, 1 / (powers + 1)) + self.corrections[i, :k])

    def frozen(self) -> tuple[Tensor, list[Tensor]]:
        with torch.no_grad():
            grid = self.grid()
            return grid, self.rows(grid)


@dataclass
class _Search:
    """Descend, and remember the best numbers on the trajectories that decide."""

    problem: _Problem
    numbers: _Numbers
    settings: TuneSettings
    best: tuple[float, tuple[Tensor, list[Tensor]] | None] = field(default=(float("inf"), None))

    def run(self) -> Iterator[TuneProgress]:
        parameters = [self.numbers.log_steps, self.numbers.corrections]
        optimizer = torch.optim.Adam([{"params": [p], "lr": self._rate(p)} for p in parameters], betas=(0.9, 0.95))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.settings.iterations)
        generator = torch.Generator().manual_seed(self.settings.seed)
        for i in range(self.settings.iterations):
            loss = self._loss(generator)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            last = i + 1 == self.settings.iterations
            yield TuneProgress(i + 1, loss.item(), self._judge() if last or i % 10 == 9 else None)

    def _rate(self, parameter: Tensor) -> float:
        return self.settings.learning_rate * (1.0 if parameter is self.numbers.log_steps else 0.25)

    def _loss(self, generator: torch.Generator) -> Tensor:
        y, end = self.problem.train
        chosen = torch.randperm(len(y), generator=generator)[: self.settings.batch].to(y.device)
        grid = self.numbers.grid()
        return self._end_distance(grid, self.numbers.rows(grid), y[chosen], end[chosen]).square().mean().log() / 2

    def _end_distance(self, grid: Tensor, rows: list[Tensor], y: Tensor, end: Tensor) -> Tensor:
        reversal = self.problem.reversal
        y = _walk(reversal.equation, grid, rows, y)
        return _distance(reversal.decode(y, reversal.stop), end)

    @torch.no_grad()
    def _judge(self) -> float:
        grid, rows = self.numbers.frozen()
        value = self._end_distance(grid, rows, *self.problem.held_out).square().mean().sqrt().item()
        if value < self.best[0]:
            self.best = (value, (grid, rows))
        return value

    def result(self, process: str, deviation: float) -> Tuned:
        value, kept = self.best
        problem, settings = self.problem, self.settings
        if kept is None or not value < problem.untuned:
            value, kept = problem.untuned, _Numbers.start(problem.grid).frozen()
        grid, rows = kept
        record = {
            "process": process,
            "deviation": deviation,
            "trajectories": settings.trajectories,
            "iterations": settings.iterations,
            "seed": settings.seed,
            "held_out_distance_before": problem.untuned,
            "held_out_distance_after": value,
            "torch": torch.__version__,
        }
        return Tuned(problem.weight, tuple(grid.tolist()), tuple(tuple(row.tolist()) for row in rows), record)


def _walk(equation, grid: Tensor, rows: list[Tensor], y: Tensor) -> Tensor:
    """The solver (1) with tensor coefficients, for its gradient; `Tabulated` is the same in Python floats."""
    assert isinstance(equation, ODE)
    fields: list[Tensor] = []
    for i, row in enumerate(rows):
        time = grid[i].to(y.device).expand(len(y))
        fields.insert(0, equation.drift(y, time))
        y = y + sum(row[j].to(y) * fields[j] for j in range(len(row)))
    return y


def _distance(x: Tensor, end: Tensor) -> Tensor:
    """Root mean square over an event, shape (B,)."""
    return (x - end).flatten(1).square().mean(1).add(1e-30).sqrt()
