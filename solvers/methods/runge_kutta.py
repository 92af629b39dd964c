"""Explicit Runge-Kutta methods: the method is its tableau."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from solvers.elementwise import axpy
from solvers.equations import ODE, Equation
from solvers.method import Method, Order


@dataclass(frozen=True)
class Tableau:
    """Butcher's tableau: stages k_i = drift(x + h sum_j a_ij k_j, t + c_i h), result x + h sum_i b_i k_i."""

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    c: tuple[float, ...]
    order: int


class RungeKutta(Method):
    """The explicit method of a tableau.

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.1
    """

    def __init__(self, tableau: Tableau):
        """Declare the tableau's order."""
        self.tableau = tableau
        self.orders: Mapping[type[Equation], Order] = {ODE: Order.of(tableau.order)}
        self.evaluations = len(tableau.b)  # pyright: ignore[reportIncompatibleVariableOverride]

    def step(self, equation, x, t, s, path, state):
        """As many evaluations as the tableau has stages."""
        h = s - t
        stages: list[Tensor] = []
        for row, c in zip(self.tableau.a, self.tableau.c, strict=True):
            stages.append(equation.drift(_weighted(x, h, row, stages), t + c * h))
        return _weighted(x, h, self.tableau.b, stages), None


def _weighted(x: Tensor, h, weights: tuple[float, ...], stages: list[Tensor]) -> Tensor:
    for weight, stage in zip(weights, stages, strict=True):
        if weight != 0.0:
            x = axpy(x, h * weight, stage)
    return x


class RK4(RungeKutta):
    """Kutta's classical method of order four."""

    def __init__(self):
        """The tableau of 1901."""
        super().__init__(
            Tableau(
                a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
                b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
                c=(0.0, 0.5, 0.5, 1.0),
                order=4,
            )
        )


EXAMPLES = [RK4()]
