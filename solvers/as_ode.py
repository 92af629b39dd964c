"""The whole right-hand side of a deterministic equation, for solvers that take nothing else."""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.equations import ODE, Equation, SemilinearODE, select_rows


def as_ode(equation: Equation, solver: str) -> ODE:
    """dx/dt = rate x + forcing of a `SemilinearODE` as an `ODE`; an `ODE` as it is.

    Raises:
        TypeError: any other equation, in the name of the solver.
    """
    if isinstance(equation, ODE):
        return equation
    if isinstance(equation, SemilinearODE):
        return ODE(
            lambda y, t: axpy(equation.forcing(y, t), equation.rate, y),
            select=lambda rows: as_ode(select_rows(equation, rows), solver),
            spacing=equation.spacing,
        )
    raise TypeError(
        f"{solver} integrates an ODE or a SemilinearODE, got {type(equation).__name__}; "
        "take the deterministic form, or a solver of stochastic equations such as AdaptiveSDE or FixedGrid"
    )
