r"""The data form: x/alpha in the time variable lambda = log(sigma/alpha), where only the denoiser is not linear.

With y = x/alpha the reverse SDE of stochasticity eta is, lambda running downwards,

    dy = (1 + eta^2)(y - x0_hat) dlambda + sqrt(2) eta e^lambda dW,                                              (1)

and the stochastic convolution over a step from lambda to mu = lambda + h, h < 0, has standard deviation
e^mu sqrt(1 - e^{2 eta^2 h}). Exponential Euler on (1) is DDIM (eta = 0) and SDE-DPM-Solver++(1); exponential Adams of
two steps is DPM-Solver++(2M).

References:
    Lu et al., DPM-Solver++: Fast Solver for Guided Sampling of Diffusion Probabilistic Models, 2022,
        https://arxiv.org/abs/2211.01095
    Song, Meng & Ermon, Denoising Diffusion Implicit Models, 2021, https://arxiv.org/abs/2010.02502
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Model, Reversal, change_of_variables, noise_clock
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp, expm1, sqrt
from solvers.elementwise import Coefficient
from solvers.equations import Equation, SemilinearODE, SemilinearSDE
from solvers.grids import uniform


@form(LinearSDE)
def data_form(sde: LinearSDE, denoiser: Denoiser, eta: float = 0.0) -> Reversal:
    """Equation (1): a semilinear ODE for eta = 0, a semilinear SDE for eta > 0."""
    if not eta >= 0:
        raise ValueError(
            f"the stochasticity eta must be at least 0, got {eta}; choose 0 for the flow, 1 for Anderson's"
        )
    rate = 1 + eta**2
    forcing = _forcing(denoiser, rate)
    equation: Equation = SemilinearODE(rate, forcing)
    if eta > 0:
        equation = SemilinearSDE(rate, forcing, lambda t, s: convolution_std(eta, t, s))
    return in_data_chart(sde, denoiser, equation)


def in_data_chart(sde: LinearSDE, denoiser: Model, equation: Equation) -> Reversal:
    """An equation of y = x/alpha in the time variable log(sigma/alpha), with equal steps by default."""
    return change_of_variables(sde, denoiser, replace(equation, spacing=uniform), noise_clock(sde), sde.alpha)


def convolution_std(eta: float, t: Coefficient, s: Coefficient) -> Coefficient:
    """e^s sqrt(1 - e^{2 eta^2 (s - t)}) for s < t."""
    return exp(s) * sqrt(-expm1(2 * eta**2 * (s - t)))


def _forcing(denoiser: Model, rate: float):
    def forcing(y: Tensor, u: Coefficient) -> Tensor:
        data = denoiser(y, Kernel(1.0, exp(u)))
        return -data if rate == 1.0 else -rate * data

    return forcing
