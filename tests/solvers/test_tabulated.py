"""The table of any method is that method; its derivative is reverse mode's; least squares finds what is there."""

from __future__ import annotations

import pytest
import torch

from solvers import AdamsBashforth, FixedGrid, Heun
from solvers.equations import ODE
from solvers.grids import power
from solvers.levenberg_marquardt import levenberg_marquardt
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.methods.rk4 import RK4
from solvers.methods.tabulated import Tabulated
from solvers.sensitivity import states as walked
from solvers.sensitivity import states_and_derivatives
from solvers.table import Table, table_on

SPACING = power(2)


def drift(y: torch.Tensor, t) -> torch.Tensor:
    """Nonlinear, in both arguments, and not the same for each coordinate."""
    return torch.sin(2 * y + t) - y * y.flip(-1) * t


def end_of(drift, table: Table, y: torch.Tensor) -> torch.Tensor:
    """y_n."""
    return list(walked(drift, table, y))[-1]


def states(*event: int) -> torch.Tensor:
    return torch.randn(3, *event, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def some_table(steps: int) -> Table:
    """Numbers near a method's, none of them at a value of its own such as 1."""
    table = table_on(FixedGrid(AdamsBashforth(3), steps, SPACING), 0.2, 1.3, steps)
    noise = torch.randn(steps * (steps + 5) // 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return Table.of(table.flat() + 0.1 * noise)


@pytest.mark.parametrize(
    ("method", "calls"),
    [(AdamsBashforth(4), 1), (PredictEvaluateCorrect(3), 1), (Heun(), 2), (RK4(), 4)],
    ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__,
)
def test_the_table_of_a_method_is_the_method(method, calls):
    """All stages are rows: an end is the same to rounding, on an uneven grid and a nonlinear equation."""
    solver, y = FixedGrid(method, 6, SPACING), states(2)
    table = table_on(solver, 1.3, 0.2, 6 * calls)
    wanted = solver(ODE(drift), y, 1.3, 0.2)
    torch.testing.assert_close(end_of(drift, table, y), wanted, rtol=1e-12, atol=1e-12)


def test_a_wrong_number_of_calls_is_refused():
    for calls in (5, 7):
        with pytest.raises(ValueError, match="evaluates the drift 6 times"):
            table_on(FixedGrid(Heun(), 3), 0.0, 1.0, calls)


def test_tensors_and_floats_walk_alike():
    """`Tabulated` with its own times and factors, on a grid that says nothing but its length."""
    table, y = some_table(5), states(2)
    rows = [row.tolist() for row in table.weights]
    method = Tabulated(rows, table.factors.tolist(), table.times.tolist())
    by_steps = FixedGrid(method, 5)(ODE(drift), y, 10.0, 20.0)
    torch.testing.assert_close(by_steps, end_of(drift, table, y), rtol=1e-13, atol=1e-13)


def test_numbers_come_back_from_their_flat_form():
    table = some_table(4)
    assert len(table.flat()) == 4 * 9 // 2
    again = Table.of(table.flat())
    assert torch.equal(again.times, table.times)
    assert torch.equal(again.factors, table.factors)
    assert all(torch.equal(one, other) for one, other in zip(again.weights, table.weights, strict=True))


@pytest.mark.parametrize("event", [(2,), (2, 4)], ids=["along coordinates", "along columns"])
def test_the_derivative_is_that_of_reverse_mode(event):
    """18 numbers: more than two coordinates from the second step on, more than eight only at the last."""
    table, y = some_table(4), states(*event)
    end, derivative = list(states_and_derivatives(drift, table, y))[-1]
    wanted = torch.func.jacrev(lambda numbers: end_of(drift, Table.of(numbers), y))(table.flat())
    torch.testing.assert_close(end, end_of(drift, table, y), rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(derivative.movedim(1, -1), wanted, rtol=1e-10, atol=1e-11)


def squares(residual):
    """(value, normal equations) of |residual(theta)|^2 / 2."""

    def normal(theta):
        jacobian = torch.func.jacfwd(residual)(theta)
        return jacobian.mT @ jacobian, jacobian.mT @ residual(theta)

    return lambda theta: residual(theta).square().sum().item() / 2, normal


def rosenbrock(theta: torch.Tensor) -> torch.Tensor:
    return torch.stack([10 * (theta[1] - theta[0] ** 2), 1 - theta[0]])


def test_least_squares_reaches_the_end_of_a_curved_valley():
    """Rosenbrock's: the value falls at every step, to zero at (1, 1)."""
    steps = list(levenberg_marquardt(torch.tensor([-1.2, 1.0], dtype=torch.float64), *squares(rosenbrock)))
    values = [value for _, value in steps]
    assert all(after < before for before, after in zip(values, values[1:], strict=False))
    assert len(steps) < 60
    torch.testing.assert_close(steps[-1][0], torch.ones(2, dtype=torch.float64), rtol=1e-10, atol=0)


def test_least_squares_does_not_know_the_units():
    """A parameter measured in a unit a million times smaller takes the same steps."""
    unit = torch.tensor([1e6, 1.0], dtype=torch.float64)
    start = torch.tensor([-1.2, 1.0], dtype=torch.float64)
    plain = [theta for theta, _ in levenberg_marquardt(start, *squares(rosenbrock))]
    scaled = [theta / unit for theta, _ in levenberg_marquardt(start * unit, *squares(lambda t: rosenbrock(t / unit)))]
    for one, other in zip(plain[:8], scaled[:8], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-9)


def test_least_squares_ends_where_nothing_is_lower():
    steps = levenberg_marquardt(torch.ones(2, dtype=torch.float64), *squares(rosenbrock))
    assert list(steps) == []
