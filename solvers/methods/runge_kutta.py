"""Explicit Runge-Kutta methods: the method is its tableau."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from solvers.elementwise import axpy, scale
from solvers.equations import ODE, Equation
from solvers.method import Attempt, Embedded, OneStep, Order

Row = tuple[float, ...]


@dataclass(frozen=True)
class Tableau:
    """Butcher's tableau: stages k_i = drift(x + h sum_j a_ij k_j, t + c_i h), result x + h sum_i b_i k_i."""

    a: tuple[Row, ...]
    b: Row
    c: Row
    order: int


class RungeKutta(OneStep):
    """The explicit method of a tableau.

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.1
    """

    def __init__(self, tableau: Tableau):
        """Declare the tableau's order."""
        self.tableau = tableau
        self.orders: Mapping[type[Equation], Order] = {ODE: Order.of(tableau.order)}
        self.evaluations = len(tableau.b)

    def finish_step(self, equation, x, t, s, first):
        """All stages but the first."""
        return weighted(x, s - t, self.tableau.b, stages(self.tableau, equation, x, t, s, first))


class EmbeddedRungeKutta(RungeKutta, Embedded):
    """A pair of explicit methods on one set of stages; `error` holds the differences of their weights.

    The last stage of all pairs here is at the step's end (first same as last): it is the next step's first field.
    """

    def __init__(self, tableau: Tableau, error: Row):
        """The weights of the error are b - b*, with b* the other method's."""
        super().__init__(tableau)
        self.error, self.estimate = error, tableau.order
        self.evaluations = len(tableau.b) - 1

    def finish_step(self, equation, x, t, s, first):
        """The result needs no stage of weight zero."""
        short = Tableau(self.tableau.a[:-1], self.tableau.b[:-1], self.tableau.c[:-1], self.tableau.order)
        return weighted(x, s - t, short.b, stages(short, equation, x, t, s, first))

    def attempt(self, equation, x, t, s, first):
        """All stages, the result, the estimate, and the field at the end."""
        k = stages(self.tableau, equation, x, t, s, first)
        y = weighted(x, s - t, self.tableau.b, k)
        (i, weight), *rest = [(i, w) for i, w in enumerate(self.error) if w != 0.0]
        error = scale((s - t) * weight, k[i])
        for i, weight in rest:
            error = axpy(error, (s - t) * weight, k[i])
        return Attempt(y, error, k[-1])


def stages(tableau: Tableau, equation: ODE, x: Tensor, t, s, first: Tensor) -> list[Tensor]:
    """k_1 = first, and the others."""
    h, k = s - t, [first]
    for row, c in zip(tableau.a[1:], tableau.c[1:], strict=True):
        k.append(equation.drift(weighted(x, h, row, k), s if c == 1.0 else t + c * h))
    return k


def weighted(x: Tensor, h, weights: Row, k: list[Tensor]) -> Tensor:
    """x + h sum_i weights_i k_i."""
    for weight, stage in zip(weights, k, strict=True):
        if weight != 0.0:
            x = axpy(x, h * weight, stage)
    return x


EXAMPLES: list[RungeKutta] = []
