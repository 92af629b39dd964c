"""The loss of tuning and its normal equations against automatic differentiation; its starts against the samplers they are."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import Empirical, ExactDenoiser
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.reversal import data_form
from sde_diffusion.reversal.grids import cosine
from sde_diffusion.sampling.default_ode import default_solver, shape
from sde_diffusion.sde import EDM, VP
from sde_diffusion.tuning.initial_tables import initial_tables, table_in_chart
from sde_diffusion.tuning.least_squares import Problem, TargetState, TrajectoryBatch
from sde_diffusion.tuning.tune import TuneSettings, tune
from solvers import ExponentialAdams, FixedGrid
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.sensitivity import states
from solvers.table import Table, table_of


def noise(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def problem() -> Problem:
    form, _ = default_solver(VP(), ExactDenoiser(two()), 4)
    return Problem(form, shape(4).weight)


def a_goal(problem: Problem) -> TrajectoryBatch:
    """Seven trajectories with a station on the way and one at the end, true states nobody would reach."""
    y = problem.form.to_chart(noise(7, 2), problem.form.start)
    return TrajectoryBatch(y, (TargetState(2, 0.1, noise(7, 2, seed=2)), TargetState(4, 0.3, noise(7, 2, seed=3))))


def some_numbers(problem: Problem) -> torch.Tensor:
    form, solver = default_solver(VP(), ExactDenoiser(two()), 4)
    table = initial_tables(VP(), form, solver, 1.0)[0]
    return Table(problem.level(table.times), table.factors, table.weights).flat() + 0.01 * noise(18)


def residuals(problem: Problem, goal: TrajectoryBatch, numbers: torch.Tensor) -> list[torch.Tensor]:
    walked = list(states(problem.drift, Table.of(numbers), goal.y))
    return [(walked[station.step - 1] - station.true) / station.unit for station in goal.stations]


def test_the_loss_is_the_sum_over_the_stations(problem):
    goal, numbers = a_goal(problem), some_numbers(problem)
    wanted = sum(r.square().mean(1).log1p().mean() for r in residuals(problem, goal, numbers))
    assert problem.loss(numbers, goal) == pytest.approx(wanted.item(), rel=1e-12)


def test_the_normal_equations_are_those_of_the_loss(problem):
    """The gradient is half the loss's by reverse mode; the matrix is J^T W J with the Jacobians by forward mode."""
    goal, numbers = a_goal(problem), some_numbers(problem)
    matrix, gradient = problem.normal(numbers, goal)

    def loss(theta):
        return sum(r.square().mean(1).log1p().mean() for r in residuals(problem, goal, theta)) / 2

    torch.testing.assert_close(gradient, torch.func.grad(loss)(numbers), rtol=1e-9, atol=1e-10)
    wanted = torch.zeros_like(matrix)
    for k, r in enumerate(residuals(problem, goal, numbers)):
        jacobian = torch.func.jacfwd(lambda theta, k=k: residuals(problem, goal, theta)[k])(numbers)
        weights = 1 / (1 + r.square().mean(1)) / r.numel()
        wanted += torch.einsum("b,bdp,bdq->pq", weights, jacobian, jacobian)
    torch.testing.assert_close(matrix, wanted, rtol=1e-9, atol=1e-10)


def test_parts_of_the_batch_change_nothing(problem, monkeypatch):
    goal, numbers = a_goal(problem), some_numbers(problem)
    whole = problem.loss(numbers, goal), *problem.normal(numbers, goal)
    monkeypatch.setattr("sde_diffusion.tuning.least_squares.CPU_ENTRIES", 300)
    split = problem.loss(numbers, goal), *problem.normal(numbers, goal)
    assert len(list(goal.parts(4 * 18 // 2))) > 1
    for one, other in zip(whole, split, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=["VP", "EDM"])
@pytest.mark.parametrize(
    "method", [ExponentialAdams(1), ExponentialAdams(3), PredictEvaluateCorrect(2), PredictEvaluateCorrect(3)], ids=repr
)
def test_a_sampler_in_another_chart_has_a_table(sde, method):
    """The table of a data-form sampler, walked in the weighted chart, ends where the sampler does."""
    denoiser, c, x = ExactDenoiser(ring8()), 1.7, sde.prior().from_noise(noise(9, 2))
    form = data_form(sde, denoiser).without_final_denoise()
    solver = FixedGrid(method, 7, cosine(sde, form.clock, 1.3))
    end = form.solve(solver, x)
    chart, _ = default_solver(sde, denoiser, 7, data_std=shape(7).weight / c)
    table = table_in_chart(lambda seen: data_form(sde, seen), solver, sde, c)
    *_, y = states(chart.equation.drift, table, chart.to_chart(x, chart.start))
    torch.testing.assert_close(chart.from_chart(y, chart.stop), end, rtol=1e-10, atol=1e-10)


def test_the_starts_are_three_solvers_of_the_budget():
    form, solver = default_solver(VP(), ExactDenoiser(two()), 6)
    tables = initial_tables(VP(), form, solver, 1.0)
    assert [len(table.times) for table in tables] == [6, 6, 6]
    assert not torch.allclose(tables[0].times, tables[1].times)
    assert not torch.allclose(tables[0].times, tables[2].times)
    assert all(float(table.times[0]) == pytest.approx(form.start, rel=1e-12) for table in tables)


def test_a_method_that_forgets_its_state_has_no_row():
    def walk(field, y):
        return field(field(y, 0.0), 1.0)

    with pytest.raises(ValueError, match="forgets the initial one"):
        table_of(walk, 2)


@pytest.mark.slow
def test_on_separate_points_the_choice_is_learned():
    """Forty points in eight dimensions: of fresh trajectories far fewer end on another point than by the default rule."""
    points = noise(40, 8, seed=5)
    law = Empirical(points)
    sde, denoiser = VP(), ExactDenoiser(law)
    found = tune(denoiser, sde, 6, (8,), TuneSettings(12, 256), dtype=torch.float64)
    x = sde.prior().from_noise(noise(1000, 8, seed=6))

    def ends(form, solver):
        return law.nearest(form.solve(solver, x))

    truth = ends(*default_solver(sde, denoiser, 200))
    untuned = (ends(*default_solver(sde, denoiser, 6)) != truth).double().mean()
    tuned = (ends(found.reversal(sde, denoiser), found.solver()) != truth).double().mean()
    assert tuned < 0.3 * untuned
