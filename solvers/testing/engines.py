"""`check_engine`: a solver that is no `Method` of ours: another library's solver, an adaptive loop.

print(check_engine("torchsde euler", lambda steps: Torchsde("euler", steps), ItoSDE, Order(strong=1, weak=1)))
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch

from solvers.equations import ODE, Equation, ItoSDE
from solvers.grids import uniform
from solvers.integrate import Solver
from solvers.method import Order
from solvers.testing import orders
from solvers.testing.behaviour import gap
from solvers.testing.methods import additive_orders, order_verdict
from solvers.testing.orders import SPANS, AtSteps
from solvers.testing.probes import ROWS, START, STOP, probe
from solvers.testing.problems import manufactured
from solvers.testing.report import QUICK, Finding, Report, run_checks, verdict
from solvers.testing.untouched import untouched, written
from solvers.wiener import AreaPath
from solvers.wiener_tree import WienerTree


def check_engine(name: str, at: AtSteps, kind: type[Equation], declared: Order | None, level: str = QUICK) -> Report:
    """The report on a solver given for every number of steps, on uniform grids; `kind` is ODE or ItoSDE.

    Args:
        declared: its orders; None for an adaptive solver, which has no number of steps.

    Raises:
        ValueError: another kind, or an unknown level.
    """
    if kind not in (ODE, ItoSDE):
        raise ValueError(f"an engine is checked on an ODE or an ItoSDE, got {kind.__name__}; name one of them")
    checks = [("batch and repetition", partial(_behaviour, at(12), kind))]
    checks += [("noise alone", partial(_noise_alone, at(12)))] if kind is ItoSDE else []
    checks += [("orders", partial(_orders, at, kind, declared, level))] if declared else []
    return run_checks(name, level, checks)


def _orders(at: AtSteps, kind: type[Equation], declared: Order, level: str) -> Iterator[Finding]:
    if kind is ItoSDE:
        yield from additive_orders(at, at, kind, declared, level, uniform)
        return
    for direction, (start, stop) in SPANS.items():
        equation, exact = manufactured(kind, "sine")
        x = torch.full((1, 1), exact(start), dtype=torch.float64)
        errors = [abs(at(n)(equation, x, start, stop).item() - exact(stop)) for n in (32, 64, 128)]
        yield order_verdict(f"order ({kind.__name__}, {direction})", orders.from_errors(errors), declared.weak)


def _behaviour(solver: Solver, kind: type[Equation]) -> Iterator[Finding]:
    look = probe(kind)
    together = look.run(solver)
    yield verdict(
        "statelessness", gap(together, look.run(solver)), 0.0, example="one solve, repeated", cause="hidden state"
    )
    errors = [gap(look.run(solver, [i]), together[i : i + 1]) for i in range(ROWS)]
    cause = "a norm, a mean or a step size is taken over the batch: take it for each sample"
    yield verdict(
        "batch invariance",
        max(errors),
        1e-12,
        example=f"sample {errors.index(max(errors))} alone and in the batch",
        cause=cause,
    )
    x = look.state()
    changed = written(lambda: solver(look.equation, x, START, STOP, look.path()), x)
    yield untouched("inputs are left alone", {"the solver writes into the state x that it is given": changed})


def _noise_alone(solver: Solver) -> Iterator[Finding]:
    """dx = cos(40 t) dt + dW ends on x + the drift's integral + W(T) - W(0), whatever was tried on the way.

    The integral is common to all samples: what differs between samples must be the path's.
    """
    for direction, (start, stop) in SPANS.items():
        x = torch.tensor([[0.7], [-1.0], [0.1], [2.0]], dtype=torch.float64)
        path = _WithoutAreas(WienerTree.like(x, 3, start, stop))
        end = solver(ItoSDE(lambda x, t: _wave(x, t), lambda t: 1.0), x, start, stop, path)
        left = end - x - path.increment(start, stop)
        yield verdict(
            f"noise is the path's ({direction})",
            (left - left.mean()).abs().max().item(),
            1e-2,
            example="dx = cos(40 t) dt + dW on one path, four samples",
            cause="noise is drawn anew after a rejected step, or beside the path: ask the path for the shorter step",
            read="solvers/wiener.py",
        )


class _WithoutAreas(AreaPath):
    """A tree for solvers that need areas too: zero, for the equation depends on none."""

    def __init__(self, tree: WienerTree) -> None:
        self.tree = tree

    def increment(self, t, s):
        return self.tree.increment(t, s)

    def increment_and_area(self, t, s):
        dw = self.tree.increment(t, s)
        return dw, torch.zeros_like(dw)

    def channel(self, k):
        return self.tree.channel(k)


def _wave(x: torch.Tensor, t: float | torch.Tensor) -> torch.Tensor:
    angle = 40 * torch.as_tensor(t, dtype=x.dtype)
    return angle.cos().reshape(-1, 1).expand_as(x)
