"""The process of EDM."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp, sqrt
from solvers.elementwise import Coefficient


@dataclass(frozen=True)
class EDM(LinearSDE):
    """dx = sqrt(2 t) dW: alpha = 1, sigma = t, time is the noise level itself. At t = 0, x is the data itself.

    References:
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, table 1
    """

    horizon: float = 80.0
    t_min: float = 0.002

    def __post_init__(self):
        """Raises ValueError unless 0 < t_min < horizon."""
        if not 0 < self.t_min < self.horizon:
            raise ValueError(
                f"EDM needs 0 < t_min < horizon, got {self.t_min:g} and {self.horizon:g}; correct the order"
            )

    def f(self, t: Coefficient) -> Coefficient:
        """Zero."""
        return 0.0 * t

    def g(self, t: Coefficient) -> Coefficient:
        """sqrt(2 t)."""
        return math.sqrt(2) * sqrt(t)

    def alpha(self, t: Coefficient) -> Coefficient:
        """One."""
        return 1.0 + 0.0 * t

    def sigma(self, t: Coefficient) -> Coefficient:
        """The time itself."""
        return 1.0 * t

    def time(self, log_snr: Coefficient) -> Coefficient:
        """e^{-l/2}."""
        return exp(-0.5 * log_snr)
