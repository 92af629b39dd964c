"""After a rejection the adaptive solver draws new noise for the shorter step: large increments are thrown away, and the
law is no longer that of the equation."""

from __future__ import annotations

import torch

from solvers import ItoSDE
from solvers.integrate import Solver
from solvers.testing import check_engine

CHECK, CAUSE = "noise is the path's (up)", r"drawn anew after a rejected step"


class Adaptive(Solver):
    """Euler-Maruyama; a step is halved where the drift changes by more than the tolerance along it."""

    def __init__(self, redraws: bool):
        self.redraws = redraws

    def __call__(self, equation, x, start, stop, noise=None):
        generator = torch.Generator().manual_seed(0)
        t, h = start, (stop - start) / 12
        while abs(stop - t) > 1e-12:
            s, rejected = (t + h if abs(h) < abs(stop - t) else stop), False
            while abs(s - t) > 1e-3 and (equation.drift(x, s) - equation.drift(x, t)).abs().max() > 0.3:
                s, rejected = (t + s) / 2, True
            dw = noise.increment(t, s)
            if rejected and self.redraws:
                dw = torch.randn(x.shape, generator=generator, dtype=x.dtype) * abs(s - t) ** 0.5
            x, t = x + (s - t) * equation.drift(x, t) + equation.diffusion(t) * dw, s
        return x


def look(redraws):
    return check_engine("adaptive", lambda steps: Adaptive(redraws), ItoSDE, None)


def report():
    return look(True)
