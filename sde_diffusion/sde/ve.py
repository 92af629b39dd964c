"""The variance-exploding process."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp
from solvers.elementwise import Coefficient


@dataclass(frozen=True)
class VE(LinearSDE):
    """dx = sigma sqrt(2 log(sigma_max/sigma_min)/horizon) dW with sigma = sigma_min (sigma_max/sigma_min)^(t/horizon).

    At t = 0, x is the data plus noise of standard deviation sigma_min, not the data itself: the kernel from the data
    has sigma(0) = sigma_min, and a simulated path starts there.

    References:
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, equation (9) and appendix C
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0
    horizon: float = 1.0
    t_min: float = 0.0

    def __post_init__(self):
        """Raises ValueError unless 0 < sigma_min < sigma_max and 0 <= t_min < horizon."""
        if not (0 < self.sigma_min < self.sigma_max and 0 <= self.t_min < self.horizon):
            raise ValueError(
                f"VE needs 0 < sigma_min < sigma_max and 0 <= t_min < horizon, got sigma {self.sigma_min:g}.."
                f"{self.sigma_max:g}, t {self.t_min:g}..{self.horizon:g}; correct the order"
            )

    @property
    def _growth(self) -> float:
        return math.log(self.sigma_max / self.sigma_min) / self.horizon

    def f(self, t: Coefficient) -> Coefficient:
        """Zero."""
        return 0.0 * t

    def g(self, t: Coefficient) -> Coefficient:
        """sigma(t) sqrt(2 d(log sigma)/dt)."""
        return self.sigma(t) * math.sqrt(2 * self._growth)

    def alpha(self, t: Coefficient) -> Coefficient:
        """One."""
        return 1.0 + 0.0 * t

    def sigma(self, t: Coefficient) -> Coefficient:
        """sigma_min (sigma_max/sigma_min)^(t/horizon)."""
        return self.sigma_min * exp(self._growth * t)

    def time(self, log_snr: Coefficient) -> Coefficient:
        """From log(sigma) = -l/2."""
        return (-0.5 * log_snr - math.log(self.sigma_min)) / self._growth
