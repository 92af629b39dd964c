"""The pair of Dormand and Prince."""

from __future__ import annotations

from solvers.methods.runge_kutta import EmbeddedRungeKutta, Tableau

_A = (
    (),
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
_ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)


class Dopri5(EmbeddedRungeKutta):
    """Six evaluations, order five, with an estimate of order four: scipy's RK45.

    References:
        Dormand & Prince, A family of embedded Runge-Kutta formulae, 1980, https://doi.org/10.1016/0771-050X(80)90013-3
    """

    def __init__(self):
        """The tableau of 1980."""
        tableau = Tableau(_A, b=(*_A[-1], 0.0), c=(0.0, 1 / 5, 3 / 10, 4 / 5, 8 / 9, 1.0, 1.0), order=5)
        super().__init__(tableau, _ERROR)
