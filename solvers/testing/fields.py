"""`check_field`: whether an equation's field is a function of (x, t), sample by sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from torch import Tensor

from solvers.equations import ODE
from solvers.testing.behaviour import gap
from solvers.testing.host import host_reads
from solvers.testing.report import QUICK, Finding, Report, run_checks, verdict
from solvers.testing.untouched import untouched, written


def check_field(equation: ODE, x: Tensor, times: Sequence[float]) -> Report:
    """The report on an ODE's field at states x (B, *E) and a few times."""
    checks = [("field", partial(_one_answer, equation, x, times)), ("batch", partial(_batch, equation, x, times))]
    return run_checks("field", QUICK, checks)


def _one_answer(equation: ODE, x: Tensor, times: Sequence[float]) -> Iterator[Finding]:
    errors = [gap(equation.drift(x, t), equation.drift(x, t)) for t in times]
    yield verdict(
        "the same question has the same answer",
        max(errors),
        0.0,
        example=f"t = {times[errors.index(max(errors))]:g} asked twice",
        cause="a probe is drawn inside the field: freeze it for the whole solve",
        read="docs: Hutchinson probes are frozen for a whole solve",
    )
    changed = written(lambda: [equation.drift(x, t) for t in times], x)
    yield untouched("inputs are left alone", {"the field writes into the state x that it is given": changed})
    reads = host_reads(lambda: equation.drift(x, times[0]))[1]
    yield verdict("no host synchronisation", float(len(reads)), 0.0, example=", ".join(reads))


def _batch(equation: ODE, x: Tensor, times: Sequence[float]) -> Iterator[Finding]:
    whole = equation.drift(x, times[0])
    errors = [gap(equation.drift(x[i : i + 1], times[0]), whole[i : i + 1]) for i in range(len(x))]
    cause = "samples are mixed: a mean or a norm over the batch"
    yield verdict(
        "batch invariance", max(errors), 1e-12, example=f"sample {errors.index(max(errors))} alone", cause=cause
    )
