r"""Annealed Langevin dynamics as one SDE.

At each noise level kappa = sigma/alpha of y = x/alpha run Langevin dynamics dy = grad log p ds + sqrt(2) dW(s), and let
the level fall slowly. With C relaxation times kappa^2 spent on each e-fold of the noise level, and the time variable
lambda = log(kappa) running downwards,

    dy = C (y - x0_hat) dlambda + sqrt(2 C) e^lambda dW.                                                         (1)

Beside the data form of the reverse SDE with eta^2 = C, (1 + C)(y - x0_hat) dlambda + sqrt(2 C) e^lambda dW, only the
transport is missing: annealed Langevin lags behind the moving distribution by a relative variance of order 1/C, and reaches it
as C grows; Euler-Maruyama adds a bias of order C |step|. The reverse SDE pays the second only.

References:
    Song & Ermon, Generative Modeling by Estimating Gradients of the Data Distribution, 2019,
        https://arxiv.org/abs/1907.05600, algorithm 1
"""

from __future__ import annotations

import math

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.data_form import in_data_chart
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp
from solvers.elementwise import Coefficient
from solvers.equations import ItoSDE


@form(LinearSDE)
def annealed_langevin(sde: LinearSDE, denoiser: Denoiser, relaxations: float = 10.0) -> Reversal:
    """Equation (1) with C = relaxations; take steps of at most about 0.1/C in log(sigma/alpha)."""
    if not relaxations > 0:
        raise ValueError(f"relaxations must be positive, got {relaxations}; choose about 10")

    def drift(y: Tensor, u: Coefficient) -> Tensor:
        return relaxations * (y - denoiser(y, Kernel(1.0, exp(u))))

    equation = ItoSDE(drift, lambda u: math.sqrt(2 * relaxations) * exp(u))
    return in_data_chart(sde, denoiser, equation)
