r"""The noise form: x/sigma in the time variable lambda = log(sigma/alpha), dy/dlambda = -y + eps_hat.

Exponential Euler on it is DDIM again; exponential Adams of k steps is DEIS, DPM-Solver of multistep kind.

References:
    Zhang & Chen, Fast Sampling of Diffusion Models with Exponential Integrator, 2022,
        https://arxiv.org/abs/2204.13902
    Lu et al., DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling, 2022,
        https://arxiv.org/abs/2206.00927, equation (3.4)
"""

from __future__ import annotations

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Reversal, change_of_variables, noise_clock
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp
from solvers.elementwise import Coefficient
from solvers.equations import SemilinearODE


@form(LinearSDE, eta=0.0)
def noise_form(sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """The probability flow as a semilinear ODE of y = x/sigma."""

    def forcing(y: Tensor, u: Coefficient) -> Tensor:
        kernel = Kernel(exp(-u), 1.0)
        return kernel.noise(y, denoiser(y, kernel))

    return change_of_variables(sde, denoiser, SemilinearODE(-1.0, forcing), noise_clock(sde), sde.sigma)
