r"""The velocity form with a weight on the data: x/(alpha + c sigma) against the time variable u = sigma/(alpha + c sigma).

With y = x/(alpha + c sigma), whatever the process,

    dy/du = eps_hat - c x0_hat = (y - x0_hat)/u,                                                                   (1)

for y is x_t behind the channel (1 - c u, u). c = 0 is the sigma form, c = 1 the velocity form; a larger c begins closer
to the data form. It runs over less than 1/c and changes from the geometry of log(sigma) to that of sigma where
sigma = alpha/c: c says at which noise level the solver's polynomials turn from following x0_hat to following eps_hat.

Derivation: with kappa = sigma/alpha the sigma form is d(x/alpha)/dkappa = eps_hat. Then y = (x/alpha)/(1 + c kappa),
du/dkappa = 1/(1 + c kappa)^2, and dy/dkappa = (eps_hat (1 + c kappa) - c (x0_hat + kappa eps_hat))/(1 + c kappa)^2.

References:
    Liu et al., Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003 (c = 1)
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
from solvers.elementwise import Coefficient, axpy, scale
from solvers.equations import ODE


@form(LinearSDE, eta=0.0)
def scaled_velocity_form(sde: LinearSDE, denoiser: Denoiser, weight: float = 1.0) -> Reversal:
    """Equation (1) with c = weight, in the data's units: 2/std for data of another standard deviation than 1."""
    if not weight > 0:
        raise ValueError(f"the weight of the data must be above 0, got {weight}; use sigma_form for 0")

    def velocity(y: Tensor, u: Coefficient) -> Tensor:
        x0 = denoiser(y, Kernel(1 - weight * u, u))
        return scale(1 / u, axpy(y, -1.0, x0))

    return change_of_variables(
        sde, denoiser, ODE(velocity), weighted_clock(sde, weight), lambda t: sde.alpha(t) + weight * sde.sigma(t)
    )


def weighted_clock(sde: LinearSDE, weight: float) -> Clock:
    """u = sigma/(alpha + c sigma)."""
    return Clock(
        lambda t: float(1 / (weight + sde.alpha(t) / sde.sigma(t))),
        lambda u: float(sde.time(2 * (math.log1p(-weight * u) - math.log(u)))),
    )
