r"""Anderson's reverse SDE, with any stochasticity.

Adding to the flow Langevin dynamics that leave every p_t invariant gives a family with the same marginals,

    dx = (drift - (1 + eta^2)/2 g^2 grad log p_t) dt + eta g dW,   run from T down to 0:                         (1)

eta = 1 is Anderson's equation, eta = 0 the probability-flow ODE. Where g depends on x, the derivative of g^2 stands beside
g^2 grad log p_t: see `sde_diffusion.sde.state_dependent`.

References:
    Anderson, Reverse-time diffusion equation models, 1982, https://doi.org/10.1016/0304-4149(82)90051-5
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, equation (6)
    Zhang & Chen, Fast Sampling of Diffusion Models with Exponential Integrator, 2022,
        https://arxiv.org/abs/2204.13902, proposition 1
"""

from __future__ import annotations

from sde_diffusion.reversal.base import Model, Reversal, on_sde_time
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import SDE


@form(SDE)
def reverse_sde(sde: SDE, model: Model, eta: float = 1.0, prior=None) -> Reversal:
    """Equation (1).

    Args:
        sde: any process; `model` is a Denoiser for a `LinearSDE`, a score(x, t) for any other.
        eta: the stochasticity, > 0 (for eta = 0 take `probability_flow`, which is an ODE).
        prior: the distribution at the horizon; the process's own prior by default. A process without kernels must be given one.

    Raises:
        ValueError: eta is not positive, or a prior is missing.
    """
    if not eta > 0:
        raise ValueError(f"reverse_sde needs eta > 0, got {eta}; eta = 0 is probability_flow(sde, model)")
    check_prior(sde, prior)
    weight = (1 + eta**2) / 2
    equation = sde.equation(lambda x, t: sde.reverse_drift(model, x, t, weight), eta)
    return on_sde_time(sde, model, equation, prior)


def check_prior(sde: SDE, prior) -> None:
    """Raises ValueError where the process cannot make a prior of its own and none is given."""
    if prior is None and not hasattr(sde, "prior"):
        raise ValueError(
            f"{type(sde).__name__} has no closed-form distribution at its horizon; pass prior=, with from_noise(noise) -> x"
        )
