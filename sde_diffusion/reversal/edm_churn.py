"""The sigma form, with leave to add noise: the equation of EDM's stochastic sampler, `solvers.methods.churn.Churn`.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, algorithm 2
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.form import form
from sde_diffusion.reversal.sigma_form import sigma_form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import sqrt
from solvers.elementwise import Coefficient
from solvers.equations import ODE, RenoisedODE


@form(LinearSDE)
def edm_churn(sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """dy/dkappa = eps_hat on y = x/alpha; from kappa up to kappa' the noise to add has variance kappa'^2 - kappa^2."""
    own = sigma_form(sde, denoiser)
    drift = cast(ODE, own.equation).drift
    return replace(own, equation=RenoisedODE(drift, _spread, spacing=own.spacing))


def _spread(kappa: Coefficient, up: Coefficient) -> Coefficient:
    return sqrt((up - kappa) * (up + kappa))
