"""The pair of Bogacki and Shampine."""

from __future__ import annotations

from solvers.methods.runge_kutta import EmbeddedRungeKutta, Tableau


class Bosh3(EmbeddedRungeKutta):
    """Three evaluations, order three, with an estimate of order two.

    References:
        Bogacki & Shampine, A 3(2) pair of Runge-Kutta formulas, 1989, https://doi.org/10.1016/0893-9659(89)90079-7
    """

    def __init__(self):
        """The tableau of 1989."""
        b = (2 / 9, 1 / 3, 4 / 9, 0.0)
        tableau = Tableau(a=((), (1 / 2,), (0.0, 3 / 4), b[:3]), b=b, c=(0.0, 1 / 2, 3 / 4, 1.0), order=3)
        super().__init__(tableau, error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8))
