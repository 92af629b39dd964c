r"""The probability-flow ODE: dx/dt = drift - g^2/2 grad log p_t, with the marginals of the SDE.

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, equation (13)
    Maoutsa, Reich & Opper, Interacting particle solutions of Fokker-Planck equations through gradient-log-density
        estimation, 2020, https://arxiv.org/abs/2006.00702
"""

from __future__ import annotations

from sde_diffusion.reversal.base import Model, Reversal, on_sde_time
from sde_diffusion.reversal.form import form
from sde_diffusion.reversal.reverse_sde import check_prior
from sde_diffusion.sde.base import SDE
from solvers.equations import ODE


@form(SDE, eta=0.0)
def probability_flow(sde: SDE, model: Model, prior=None) -> Reversal:
    """The flow in the SDE's own time; `model` is a Denoiser for a `LinearSDE`, a score(x, t) for any other."""
    check_prior(sde, prior)
    return on_sde_time(sde, model, ODE(lambda x, t: sde.reverse_drift(model, x, t, 0.5)), prior)
