"""Exponential Adams methods on any grid."""

from __future__ import annotations

from solvers.equations import SemilinearODE
from solvers.methods.exponential_runge_kutta import ExponentialRungeKutta
from solvers.multistep import Multistep


class ExponentialAdams(Multistep):
    """y_s = e^{a h} y_t + sum_j w_j F_j with the weights of `solvers.multistep`.

    On the data form of the probability flow k = 1 is DDIM, k = 2 is DPM-Solver++(2M) with exact integrals; on the noise
    form it is DEIS.

    References:
        Hochbruck & Ostermann, Exponential multistep methods of Adams-type, 2011,
            https://doi.org/10.1007/s10543-011-0332-6
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095
        Zhang & Chen, Fast Sampling of Diffusion Models with Exponential Integrator, 2022,
            https://arxiv.org/abs/2204.13902
    """

    kind = SemilinearODE


EXAMPLES = [
    ExponentialAdams(1),
    ExponentialAdams(2),
    ExponentialAdams(3, starter=ExponentialRungeKutta(2)),
    ExponentialAdams(4, starter=ExponentialRungeKutta(3)),
    ExponentialAdams(5, starter=ExponentialRungeKutta(4)),
]
