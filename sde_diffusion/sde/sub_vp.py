"""The sub-variance-preserving process."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.sde.vp import LinearBeta
from sde_diffusion.specs import other_names
from solvers.elementary import (
    asinh,
    exp,
    expm1,
    sqrt,
)
from solvers.elementwise import Coefficient


@other_names({"beta_start": "beta_min", "beta_end": "beta_max", "beta_0": "beta_min", "beta_1": "beta_max"})
@dataclass(frozen=True)
class SubVP(LinearBeta):
    """dx = -beta/2 x dt + sqrt(beta (1 - e^{-2B})) dW: less noise than VP at every time. At t = 0, x is the data itself.

    References:
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, equation (12) and appendix B
    """

    def g(self, t: Coefficient) -> Coefficient:
        """sqrt(beta (1 - e^{-2B}))."""
        return sqrt(-self.beta(t) * expm1(-2 * self.integral(t)))

    def sigma(self, t: Coefficient) -> Coefficient:
        """1 - e^{-B}."""
        return -expm1(-self.integral(t))

    def time(self, log_snr: Coefficient) -> Coefficient:
        """From sigma/alpha = 2 sinh(B/2)."""
        return self.time_of_integral(2 * asinh(0.5 * exp(-0.5 * log_snr)))
