"""Declared and observed orders of every method, as a table: writes docs/orders.md.

python -m benchmarks.orders
"""

from __future__ import annotations

from pathlib import Path

from solvers import ODE, DiagonalSDE, ItoSDE, MarkovChain, SemilinearODE, SemilinearSDE
from solvers.methods import METHODS
from solvers.testing import orders as measure
from solvers.testing.problems import SOLUTIONS

HEAD = """# Orders of convergence

Declared and observed, for every method on disk; written by `python -m benchmarks.orders`, asserted by `tests/solvers/test_orders.py`.
Deterministic: the range over three manufactured problems ({problems}) and both directions of time, on an uneven grid. Strong: a
nonlinear drift, both directions. Weak: a linear equation with exact moments, then a nonlinear one (a dash where the bias is below
six standard errors).

| method | equation | declared | observed |
|---|---|---|---|
"""


def span(values: list[float]) -> str:
    return f"{min(values):.2f} .. {max(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def row(method, kind) -> str:
    declared, uniform, uneven = method.orders[kind], measure.on_grid(method), measure.on_grid(method, measure.UNEVEN)
    if kind in (ODE, SemilinearODE):
        seen = span([measure.deterministic(method, kind, p, d).order for p in SOLUTIONS for d in measure.SPANS])
        return f"| {method!r} | {kind.__name__} | {declared.strong:g} | {seen} |"
    if kind is DiagonalSDE:
        seen = f"strong {measure.strong_on_geometric(uniform).order:.2f}, weak {measure.weak_on_geometric(uniform).order:.2f}"
    else:
        strong = span([measure.strong(uniform, kind, d).order for d in measure.SPANS])
        linear = span([measure.weak_on_linear(uneven, kind, d).order for d in measure.SPANS])
        nonlinear = measure.weak_on_nonlinear(uniform, kind)
        seen = f"strong {strong}, weak {linear} and {'-' if nonlinear is None else f'{nonlinear.order:.2f}'}"
    return f"| {method!r} | {kind.__name__} | strong {declared.strong:g}, weak {declared.weak:g} | {seen} |"


def main() -> None:
    kinds = (ODE, SemilinearODE, ItoSDE, SemilinearSDE, MarkovChain, DiagonalSDE)
    rows = [row(method, kind) for method in METHODS for kind in method.orders if kind in kinds]
    text = HEAD.format(problems=", ".join(SOLUTIONS)) + "\n".join(rows) + "\n"
    Path(__file__).parent.parent.joinpath("docs", "orders.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
