"""Declared and observed orders of every method, as tables: writes docs/orders.md.

python -m benchmarks.orders               about two minutes on one core
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from solvers import (
    ODE,
    Density,
    DiagonalSDE,
    ItoSDE,
    MarkovChain,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
)
from solvers.method import Method
from solvers.methods import METHODS
from solvers.testing import diagonal_orders as diagonal
from solvers.testing import orders as measure
from solvers.testing import stochastic_orders as exact
from solvers.testing.orders import SPANS, UNEVEN
from solvers.testing.problems import BENDS, CLOCKS, LINEAR, SOLUTIONS, TRANSFORMED

DETERMINISTIC = """# Orders of convergence

Declared and observed, for every method in `solvers/methods/`. Written by `python -m benchmarks.orders`; `tests/solvers/test_orders.py`
asserts the declared orders to 0.2. Two numbers are the smallest and the largest.

## Deterministic equations

Three manufactured nonlinear problems ({problems}), both directions of time, on a smooth uneven grid. For sine also on steps
of lengths 1, 3, 2, 1, 3, 2, ...

| method | equation | declared | uneven | alternating |
|---|---|---|---|---|
"""
ADDITIVE = """
## Additive noise

On a smooth uneven grid, both directions, without a random number (by impulses, `solvers/testing/stochastic_orders.py`): mean and variance of
three linear problems ({linear}; in the first the forcing does not depend on the state), E[y] and E[x y] of a nonlinear
cascade, and the RMS error on the three linear problems.

Sampled: the RMS distance to a run of 16 times the steps for three nonlinear drifts ({bends}), and E[sin x + x^2] for the first of them
(a dash where its bias is below six standard errors).

Linear problems alone flatter. SRA1's error of order 1.5 and the weak error of order 2 of a corrected step vanish where nothing is nonlinear,
or where no field depends on the noise.

| method | equation | declared | strong, linear | strong, nonlinear | weak, {columns} | weak, cascade | weak, nonlinear |
|---|---|---|---|---|---|---|---|---|---|
"""
OTHER = """
## Diagonal noise, and ODEs with noise added again

Diagonal noise: three equations whose solution is a function of the noise ({functions}), strong and weak on shared paths, and the weak
order for geometric Brownian motion without sampling. ODEs with noise added again: mean and variance in three time variables
({clocks}), without sampling.

| method | equation | declared | strong | weak |
|---|---|---|---|---|
"""
LAWS = """
## Methods that keep a distribution

They have no order in the step. The distribution itself is tested.

| method | equation | declared | tested by |
|---|---|---|---|
"""
TESTS = {Density: "tests/solvers/test_metropolis.py", TargetFamily: "tests/solvers/test_corrector.py"}


def span(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} .. {high}"


def line(*cells: object) -> str:
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def declarations(*kinds: type) -> Iterator[tuple[Method, type]]:
    return ((method, kind) for method in METHODS for kind in method.orders if kind in kinds)


def declared(method: Method, kind: type) -> str:
    order = method.orders[kind]
    return f"weak {order.weak:g}" if order.strong is None else f"strong {order.strong:g}, weak {order.weak:g}"


def deterministic(method: Method, kind: type) -> str:
    smooth = [measure.deterministic(method, kind, p, d).order for p in SOLUTIONS for d in SPANS]
    rough = [measure.deterministic(method, kind, "sine", d, measure.alternating).order for d in SPANS]
    return line(repr(method), kind.__name__, f"{method.orders[kind].strong:g}", span(smooth), span(rough))


def additive(method: Method, kind: type) -> str:
    uniform, uneven = measure.on_grid(method), measure.on_grid(method, UNEVEN)
    strong = span([exact.strong_on_linear(uneven, kind, d, problem=p).order for p in LINEAR for d in SPANS])
    bent = span([measure.strong(uniform, kind, d, shape=b).order for b in BENDS for d in SPANS])
    weak = [span([measure.weak_on_linear(uneven, kind, d, problem=p).order for d in SPANS]) for p in LINEAR]
    cascade = span([exact.weak_on_cascade(uneven, kind, d).order for d in SPANS])
    sampled = measure.weak_on_nonlinear(uniform, kind)
    last = "-" if sampled is None else str(sampled)
    return line(repr(method), kind.__name__, declared(method, kind), strong, bent, *weak, cascade, last)


def other(method: Method, kind: type) -> str:
    if kind is RenoisedODE:
        seen = "", span([exact.weak_on_renoised(method, clock).order for clock in CLOCKS])
    else:
        at = measure.on_grid(method)
        strong = [diagonal.strong_on_transformed(at, f).order for f in TRANSFORMED]
        weak = [diagonal.weak_on_transformed(at, f).order for f in TRANSFORMED]
        seen = span(strong), span([*weak, diagonal.weak_on_geometric(at).order])
    return line(repr(method), kind.__name__, declared(method, kind), *seen)


def text() -> str:
    parts = [DETERMINISTIC.format(problems=", ".join(SOLUTIONS))]
    parts += [deterministic(*pair) for pair in declarations(ODE, SemilinearODE)]
    named = {"linear": ", ".join(LINEAR), "bends": ", ".join(BENDS), "columns": " | weak, ".join(LINEAR)}
    parts += [ADDITIVE.format(**named)]
    parts += [additive(*pair) for pair in declarations(ItoSDE, SemilinearSDE, MarkovChain)]
    parts += [OTHER.format(functions=", ".join(TRANSFORMED), clocks=", ".join(CLOCKS))]
    parts += [other(*pair) for pair in declarations(DiagonalSDE, RenoisedODE)]
    parts += [LAWS, *(line(repr(m), k.__name__, declared(m, k), f"`{TESTS[k]}`") for m, k in declarations(*TESTS))]
    return "".join(parts)


def main() -> None:
    written = text()
    Path(__file__).parent.parent.joinpath("docs", "orders.md").write_text(written, encoding="utf-8")
    print(written)


if __name__ == "__main__":
    main()
