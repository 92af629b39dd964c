r"""The sigma form: x/alpha against the noise level kappa = sigma/alpha, EDM's own time variable.

    dy/dkappa = eps_hat = (y - x0_hat)/kappa                                                                     (1)

Euler on (1) is DDIM, Heun is EDM's deterministic sampler, Adams-Bashforth the linear multistep sampler of k-diffusion.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, equation (3) and algorithm 1
"""

from __future__ import annotations

import math

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Clock, Reversal, change_of_variables
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp
from solvers.elementwise import Coefficient
from solvers.equations import ODE


@form(LinearSDE, eta=0.0)
def sigma_form(sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """Equation (1)."""

    def noise(y: Tensor, kappa: Coefficient) -> Tensor:
        kernel = Kernel(1.0, kappa)
        return kernel.noise(y, denoiser(y, kernel))

    return change_of_variables(sde, denoiser, ODE(noise), sigma_clock(sde), sde.alpha)


def sigma_clock(sde: LinearSDE) -> Clock:
    """kappa = sigma/alpha."""
    return Clock(lambda t: float(exp(-0.5 * sde.log_snr(t))), lambda kappa: sde.time(-2 * math.log(kappa)))
