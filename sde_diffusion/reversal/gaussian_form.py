r"""The Gaussian form: the linear part holds the whole flow, and the whole reverse SDE, of data N(m, v I).

With y = x/alpha, kappa = sigma/alpha and stochasticity eta, in the time variable rho = (1 + eta^2)/2 log(kappa^2 + v),

    dy = (y - F) drho + noise,   F = x0_hat - (v/kappa^2)(y - x0_hat),                                             (1)

for dlambda = (1 + v/kappa^2) drho/(1 + eta^2) in the equation of `data_form`. The stochastic convolution is in closed form:
with w = kappa^2 + v its variance over a step from t down to s is, by the integral of eta^2 (w_s/w)^{1 + eta^2} dw,

    spread(t, s)^2 = w_s (1 - (w_s/w_t)^{eta^2}).                                                                   (2)

Data N(m, v I) have F = m: every exponential method is exact for them, in one step, law and path of the flow. v = 0 is
`data_form`. It runs like log kappa where kappa^2 >> v and stops where kappa^2 << v, where nothing
happens any more to data as smooth as that: a v of the size of the finest features spares the steps spent there.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, section 5 (F up to its scale is what their preconditioned network is trained on)
    Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095 (v = 0)
"""

from __future__ import annotations

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Clock, Reversal, change_of_variables
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import (
    exp,
    expm1,
    log,
    sqrt,
)
from solvers.elementwise import Coefficient, combine
from solvers.equations import Equation, SemilinearODE, SemilinearSDE


@form(LinearSDE)
def gaussian_form(sde: LinearSDE, denoiser: Denoiser, eta: float = 0.0, data_std: float = 0.5) -> Reversal:
    """Equation (1), a semilinear ODE for eta = 0 and SDE for eta > 0; data_std = sqrt(v) > 0 in the data's units."""
    if not (eta >= 0 and data_std > 0):
        raise ValueError(
            f"eta >= 0 and data_std > 0 are needed, got {eta} and {data_std}; data_std 0 is data_form(sde, denoiser, eta)"
        )
    v, half = data_std**2, (1 + eta**2) / 2

    def width(u: Coefficient) -> Coefficient:
        return exp(u / half)

    def forcing(y: Tensor, u: Coefficient) -> Tensor:
        w = width(u)
        level = w - v
        return combine(v / level, y, -w / level, denoiser(y, Kernel(1.0, sqrt(level))))

    def spread(t: Coefficient, s: Coefficient) -> Coefficient:
        return sqrt(-width(s) * expm1(eta**2 * (s - t) / half))

    equation: Equation = SemilinearODE(1.0, forcing)
    if eta > 0:
        equation = SemilinearSDE(1.0, forcing, spread)
    return change_of_variables(sde, denoiser, equation, _clock(sde, v, half), sde.alpha)


def _clock(sde: LinearSDE, v: float, half: float) -> Clock:
    return Clock(
        lambda t: half * log(exp(-sde.log_snr(t)) + v),
        lambda u: sde.time(-log(exp(u / half) - v)),
    )
