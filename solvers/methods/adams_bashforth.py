"""Adams-Bashforth methods on any grid."""

from __future__ import annotations

from solvers.equations import ODE
from solvers.methods.dopri5 import Dopri5
from solvers.methods.rk4 import RK4
from solvers.multistep import Multistep


class AdamsBashforth(Multistep):
    """x_s = x_t + sum_j w_j drift_j with the weights of `solvers.multistep`, rate 0.

    On the sigma form it is the linear multistep sampler (LMS) of k-diffusion, on the velocity form that of flow matching.
    iPNDM is this formula with the weights of a uniform grid: on a uniform grid of its time variable it is this class with the
    start by lower orders, on any other it has order one, which is why there is no class for it.

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.5
    """

    kind = ODE


EXAMPLES = [
    AdamsBashforth(1),
    AdamsBashforth(2),
    AdamsBashforth(3, starter=RK4()),
    AdamsBashforth(4, starter=RK4()),
    AdamsBashforth(5, starter=Dopri5()),
]
