"""The process of rectified flow."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp, sqrt
from solvers.elementwise import Coefficient


@dataclass(frozen=True)
class Rectified(LinearSDE):
    """alpha = 1 - t, sigma = t: the straight line from data to noise. At t = 0, x is the data itself.

    At t = 1 the signal is gone and f = -1/(1 - t) is infinite: the equation holds on [0, 1), and the horizon stops
    short of the end.

    References:
        Liu et al., Flow Straight and Fast, 2022, https://arxiv.org/abs/2209.03003
        Lipman et al., Flow Matching for Generative Modeling, 2022, https://arxiv.org/abs/2210.02747
    """

    horizon: float = 0.999
    t_min: float = 1e-3

    def __post_init__(self):
        """Raises ValueError unless 0 < t_min < horizon < 1."""
        if not 0 < self.t_min < self.horizon < 1:
            raise ValueError(
                f"Rectified needs 0 < t_min < horizon < 1, got {self.t_min:g} and {self.horizon:g}; stop short of t = 1"
            )

    def f(self, t: Coefficient) -> Coefficient:
        """-1/(1 - t)."""
        return -1 / (1 - t)

    def g(self, t: Coefficient) -> Coefficient:
        """sqrt(2 t/(1 - t))."""
        return math.sqrt(2) * sqrt(t / (1 - t))

    def alpha(self, t: Coefficient) -> Coefficient:
        """1 - t."""
        return 1 - t

    def sigma(self, t: Coefficient) -> Coefficient:
        """The time itself."""
        return 1.0 * t

    def time(self, log_snr: Coefficient) -> Coefficient:
        """From sigma/alpha = t/(1 - t)."""
        return 1 / (1 + exp(0.5 * log_snr))
