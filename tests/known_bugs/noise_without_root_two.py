"""A stochastic step whose noise lacks sqrt(2): half of the variance, whatever the number of steps."""

from __future__ import annotations

from solvers import EulerMaruyama
from solvers.testing import check_method

CHECK, CAUSE = "weak order (ItoSDE, linear, up)", r"^sqrt\(2\) is missing before the noise"


class Quiet(EulerMaruyama):
    def step(self, equation, x, t, s, path, state):
        y, _ = super().step(equation, x, t, s, path, state)
        mean = x + (s - t) * equation.drift(x, t)
        return mean + (y - mean) / 2**0.5, None


def report():
    return check_method(Quiet())
