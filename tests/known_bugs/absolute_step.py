"""abs(h) in the drift: written for one direction of time, wrong in the other."""

from __future__ import annotations

from solvers import Heun
from solvers.testing import check_method

CHECK, CAUSE = "order (ODE, sine, down)", r"a step's sign is lost"


class Forwards(Heun):
    def finish_step(self, equation, x, t, s, first):
        h = abs(s - t)
        return x + h / 2 * (first + equation.drift(x + h * first, s))


def report():
    return check_method(Forwards())


def sound():
    return check_method(Heun())
