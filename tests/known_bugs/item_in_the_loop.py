"""float(h) of a tensor in every step: the loop waits for the accelerator at each of them."""

from __future__ import annotations

from solvers import Heun
from solvers.testing import check_method

CHECK, CAUSE = "no host synchronisation (ODE)", r"\.item\(\)"


class Waits(Heun):
    def finish_step(self, equation, x, t, s, first):
        largest = first.abs().max().item()
        return super().finish_step(equation, x, t, s, first) if largest < float("inf") else x


def report():
    return check_method(Waits())


def sound():
    return check_method(Heun())
