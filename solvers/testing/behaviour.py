"""What every method must keep beside an order: no hidden state, no effect of other samples, no lost digits, no waiting
for the device.

Each function takes a method and one kind of equation that it declares, and yields findings.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from solvers.equations import ODE, DiagonalSDE, Equation, ItoSDE, RenoisedODE, SemilinearODE, SemilinearSDE
from solvers.grids import uniform
from solvers.integrate import FixedGrid, integrate
from solvers.method import Method
from solvers.testing.host import host_reads
from solvers.testing.probes import ROWS, START, STOP, Probe, probe
from solvers.testing.report import Finding, verdict
from solvers.testing.untouched import untouched

READ = "solvers/method.py: a method is stateless, its history travels in an explicit state"
ROUNDING = 1e-12


def gap(a: Tensor, b: Tensor) -> float:
    """The largest difference; infinite where shapes differ or a number is not finite."""
    if a.shape != b.shape or not (torch.isfinite(a).all() and torch.isfinite(b).all()):
        return float("inf")
    return (a.double() - b.double()).abs().max().item() if a.numel() else 0.0


def statelessness(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """The same input has the same result: again, after another run, beside another run, resumed half-way."""
    name, look = f"statelessness ({kind.__name__})", probe(kind, method)
    settings, drawn = repr(sorted(vars(method))), torch.get_rng_state()
    first = look.run(FixedGrid(method, 8))
    look.run(FixedGrid(method, 5))
    errors = {
        "a second run differs from the first": gap(first, look.run(FixedGrid(method, 8))),
        "a run differs when another one is walked beside it": gap(first, _beside(method, look)),
        "a run resumed from its state half-way differs": gap(first, _resumed(method, look)),
        "torch's global generator has moved": float(not torch.equal(drawn, torch.get_rng_state())),
        "the method has new attributes after a run": float(repr(sorted(vars(method))) != settings),
    }
    words = max(errors, key=lambda key: errors[key])
    cause = "the method keeps something on self, or draws from a generator of its own"
    yield verdict(name, errors[words], 0.0, example=f"8 steps: {words}", cause=cause, read=READ)


def _beside(method: Method, look: Probe) -> Tensor:
    """The end of a run of 8 steps, run in turn with one of 5."""
    long, short = (
        integrate(method, look.equation, look.state(), uniform(START, STOP, steps), look.path()) for steps in (8, 5)
    )
    end = look.state()
    for _, end in long:  # noqa: B007
        next(short, None)
    return end


def _resumed(method: Method, look: Probe) -> Tensor:
    times, path, x = uniform(START, STOP, 8).tolist(), look.path(), look.state()
    state = method.init(look.equation, x, times)
    for i, (t, s) in enumerate(pairwise(times)):
        if i == 4:
            method.step(look.equation, x, t, s, path, copy.deepcopy(state))
            method.init(look.equation, x, times[:4])
        x, state = method.step(look.equation, x, t, s, path, state)
    return x


def batch_invariance(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """A sample alone ends where it ends among others."""
    name, look = f"batch invariance ({kind.__name__})", probe(kind, method)
    together = look.run(FixedGrid(method, 8))
    errors = [gap(look.run(FixedGrid(method, 8), [i]), together[i : i + 1]) for i in range(ROWS)]
    worst = max(range(ROWS), key=errors.__getitem__)
    yield verdict(
        name,
        errors[worst],
        ROUNDING,
        example=f"8 steps, sample {worst} of {ROWS} alone and in the batch",
        cause="a norm, a mean or a step size is taken over the batch: take it for each sample",
        read="docs: step sizes and norms are per sample, never a mean over the batch",
    )


def precision(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """A float32 state stays one, and coefficients do not lose digits of a float64 one."""
    name, look, solver = f"precision ({kind.__name__})", probe(kind, method), FixedGrid(method, 8)
    double, single = look.run(solver), look.run(solver, dtype=torch.float32)
    wrong = float("inf") if single.dtype != torch.float32 or double.dtype != torch.float64 else 0.0
    example = f"dtypes: float32 became {single.dtype}, float64 {double.dtype}"
    yield verdict(
        name, max(wrong, gap(single, double)), 1e-4, example=example, cause="a tensor is made in a fixed dtype"
    )


def edges(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """One step, two steps; a time twice is refused; a semilinear equation's last step may be infinite."""
    name, look = f"grid edges ({kind.__name__})", probe(kind, method)
    ends = [look.run(FixedGrid(method, steps)) for steps in (1, 2)]
    finite = all(bool(torch.isfinite(end).all()) for end in ends)
    yield verdict(name, float(not finite), 0.0, example="1 or 2 steps end on NaN or infinity", read=READ)
    yield verdict(
        f"repeated times ({kind.__name__})", float(not _refuses_repeats(method, look)), 0.0, example="times 1, 0.5, 0.5"
    )
    if kind is SemilinearODE:
        yield _to_infinity(method)


def _refuses_repeats(method: Method, look: Probe) -> bool:
    grid = torch.tensor([START, 0.5, 0.5], dtype=torch.float64)
    try:
        list(integrate(method, look.equation, look.state(), grid, look.path()))
    except ValueError:
        return True
    return False


def _to_infinity(method: Method) -> Finding:
    """y' = y - c from 0 to -infinity: everything but c is forgotten, as in the data form's last step to sigma = 0.

    A method may refuse the grid with a ValueError.
    """
    name, grid = "last step to -infinity (SemilinearODE)", torch.tensor([0.0, -1.0, -2.0, -torch.inf])
    equation = SemilinearODE(1.0, lambda y, t: torch.full_like(y, -0.7))
    end = x = torch.tensor([[2.0]], dtype=torch.float64)
    try:
        for _, end in integrate(method, equation, x, grid):  # noqa: B007
            pass
    except (ValueError, OverflowError) as error:
        return verdict(name, 0.0, 0.0, note=f"refused: {error}")
    cause = "a coefficient is inf * 0 or inf - inf there: take the limit -F/rate"
    return verdict(name, gap(end, torch.full_like(x, 0.7)), ROUNDING, example="times 0, -1, -2, -inf", cause=cause)


def device_loop(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """A step reads nothing back: what 8 steps read beyond what 4 steps read happens in the loop."""
    look = probe(kind, method)
    few, many = (host_reads(lambda n=n: look.run(FixedGrid(method, n)))[1] for n in (4, 8))
    in_loop = (len(many) - len(few)) / 4
    yield verdict(
        f"no host synchronisation ({kind.__name__})",
        in_loop,
        0.0,
        example=f"reads in each step: {', '.join(sorted(set(many)))}",
        cause="a step calls .item(), float() or bool() of a tensor, or indexes with a mask",
        read="solvers/testing/host.py",
    )


def inputs(method: Method, kind: type[Equation]) -> Iterator[Finding]:
    """A step leaves the state that it is given, and the field's answers, as they are."""
    look = probe(kind, method)
    found = {"a step writes into the state x that it is given": _writes(method, look)}
    if kind in ECHOES:
        echo = Probe(ECHOES[kind])
        found["a step writes into what the field returns (here x itself)"] = _writes(method, echo)
    yield untouched(f"inputs are left alone ({kind.__name__})", found)


def _writes(method: Method, look: Probe) -> bool:
    times, path, x = uniform(START, STOP, 4).tolist(), look.path(), look.state()
    state, wrong = method.init(look.equation, x, times), False
    for t, s in pairwise(times):
        before = x.clone()
        y, state = method.step(look.equation, x, t, s, path, state)
        wrong, x = wrong or not torch.equal(before, x), y
    return wrong


def _echo(x: Tensor, t) -> Tensor:
    return x


ECHOES: dict[type[Equation], Equation] = {
    ODE: ODE(_echo),
    SemilinearODE: SemilinearODE(-0.4, _echo),
    ItoSDE: ItoSDE(_echo, lambda t: 1.0),
    SemilinearSDE: SemilinearSDE(-0.4, _echo, lambda t, s: abs(s - t) ** 0.5),
    DiagonalSDE: DiagonalSDE(_echo, _echo),
    RenoisedODE: RenoisedODE(_echo, lambda t, up: (up - t) ** 0.5),
}
"""Equations whose field is the state itself: an operation in place on the one changes the other."""

BEHAVIOUR = [statelessness, batch_invariance, precision, edges, device_loop, inputs]
