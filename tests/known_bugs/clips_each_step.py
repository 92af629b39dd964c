"""The state is clipped to [-1, 1] after each step: what is larger is lost, and nothing says so."""

from __future__ import annotations

from solvers import Heun
from solvers.testing import check_method

CHECK, CAUSE = "order (ODE, sine, up)", r"clipped"


class Clips(Heun):
    def finish_step(self, equation, x, t, s, first):
        return super().finish_step(equation, x, t, s, first).clamp(-1.0, 1.0)


def report():
    return check_method(Clips())
