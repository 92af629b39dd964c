"""Kutta's classical method."""

from __future__ import annotations

from solvers.methods.runge_kutta import RungeKutta, Tableau


class RK4(RungeKutta):
    """Four stages, order four.

    References:
        Kutta, Beitrag zur naherungsweisen Integration totaler Differentialgleichungen, 1901
    """

    def __init__(self):
        """The tableau of 1901."""
        a = ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0))
        super().__init__(Tableau(a, b=(1 / 6, 1 / 3, 1 / 3, 1 / 6), c=(0.0, 0.5, 0.5, 1.0), order=4))
