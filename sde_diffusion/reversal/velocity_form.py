r"""The velocity form: the probability flow along the straight line of rectified flow.

With y = x/(alpha + sigma) and the time variable u = sigma/(alpha + sigma), whatever the process,

    dy/du = eps_hat - x0_hat = (y - x0_hat)/u,                                                                   (1)

for y is x_t of the rectified process at time u. Far from the data the right-hand side hardly varies, and near it neither
term is singular but for 1/u: Adams-Bashforth on (1) is the multistep sampler of flow matching.

References:
    Liu et al., Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix B (any schedule and scaling is a change of variables of one flow)
"""

from __future__ import annotations

import math

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Clock, Reversal, change_of_variables
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementwise import Coefficient
from solvers.equations import ODE


@form(LinearSDE, eta=0.0)
def velocity_form(sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """Equation (1)."""
    clock = share_clock(sde)

    def velocity(y: Tensor, u: Coefficient) -> Tensor:
        kernel = Kernel(1 - u, u)
        return kernel.flow(y, denoiser(y, kernel))

    return change_of_variables(sde, denoiser, ODE(velocity), clock, lambda t: sde.alpha(t) + sde.sigma(t))


def share_clock(sde: LinearSDE) -> Clock:
    """u = sigma/(alpha + sigma), the share of the noise."""
    return Clock(lambda t: 1 / (1 + sde.alpha(t) / sde.sigma(t)), lambda u: sde.time(2 * _logit(u)))


def _logit(u: float) -> float:
    """log((1 - u)/u): minus log(sigma/alpha)."""
    return math.log1p(-u) - math.log(u)
