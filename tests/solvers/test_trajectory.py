"""The loop walks the grid it was given: its times are the spacing's, and each step sees both of its ends."""

from __future__ import annotations

import pytest
import torch

from solvers import ODE, Euler, FixedGrid, Heun, fixed, geometric, power, uniform

SPACINGS = {
    "uniform": uniform,
    "power": power(7),
    "geometric": geometric,
    "fixed": lambda start, stop, steps: fixed([start, 0.9 * start + 0.1 * stop, 0.2 * start + 0.8 * stop, stop])(
        start, stop, steps
    ),
}
X = torch.ones(1, 1, dtype=torch.float64)


@pytest.mark.parametrize("span", [(0.5, 4.0), (4.0, 0.5)], ids=["up", "down"])
@pytest.mark.parametrize("name", SPACINGS)
def test_the_times_are_the_spacings(name, span):
    """Those that are yielded, and those at which the field is asked: Heun asks at both ends of each step."""
    asked = []
    equation = ODE(lambda x, t: asked.append(t) or 0 * x)
    grid = SPACINGS[name](*span, 3).tolist()
    yielded = [t for t, _ in FixedGrid(Heun(), 3, SPACINGS[name]).trajectory(equation, X, *span)]
    assert yielded == grid[1:]
    assert asked == [grid[0], grid[1], grid[1], grid[2], grid[2], grid[3]]


@pytest.mark.parametrize("name", SPACINGS)
def test_eulers_sum_is_over_the_actual_steps(name):
    """dx/dt = t by Euler is sum_i t_i (t_{i+1} - t_i), whatever the spacing."""
    grid = SPACINGS[name](4.0, 0.5, 3)
    end = FixedGrid(Euler(), 3, SPACINGS[name])(ODE(lambda x, t: t + 0 * x), X, 4.0, 0.5)
    torch.testing.assert_close(end - X, (grid[:-1] * grid.diff()).sum().reshape(1, 1))
