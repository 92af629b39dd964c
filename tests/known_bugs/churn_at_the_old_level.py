"""EDM's churn adds noise, and the network is shown the level from before it."""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.method import noise
from solvers.methods.churn import Churn
from solvers.testing import check_method

CHECK, CAUSE = "the field is asked at the state's own time (RenoisedODE)", r"pass t\^"


class Late(Churn):
    def step(self, equation, x, t, s, path, state):
        up = t * (1 + state)
        x = axpy(x, equation.spread(t, up) / abs(s - t) ** 0.5, noise(path, t, s))
        return self.inner.finish_step(equation, x, up, s, equation.drift(x, t)), state


def report():
    return check_method(Late())


def sound():
    return check_method(Churn())
