"""Pure Brownian motion."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp, sqrt
from solvers.elementwise import Coefficient


@dataclass(frozen=True)
class Brownian(LinearSDE):
    """dx = dW, Anderson's own example; its reverse is dx = grad log p(x, T - t) dt + dW. At t = 0, x is the data itself.

    Brownian motion keeps the signal: x_T = x_0 + sqrt(T) eps. The prior takes the data's mean and variance, and the
    horizon must be long beside the data's variance (the default serves data of about unit variance).

    References:
        Anderson, Reverse-time diffusion equation models, 1982, https://doi.org/10.1016/0304-4149(82)90051-5
    """

    horizon: float = 100.0
    t_min: float = 1e-4

    def __post_init__(self):
        """Raises ValueError unless 0 < t_min < horizon."""
        if not 0 < self.t_min < self.horizon:
            raise ValueError(
                f"Brownian needs 0 < t_min < horizon, got {self.t_min:g} and {self.horizon:g}; correct the order"
            )

    def f(self, t: Coefficient) -> Coefficient:
        """Zero."""
        return 0.0 * t

    def g(self, t: Coefficient) -> Coefficient:
        """One."""
        return 1.0 + 0.0 * t

    def alpha(self, t: Coefficient) -> Coefficient:
        """One."""
        return 1.0 + 0.0 * t

    def sigma(self, t: Coefficient) -> Coefficient:
        """sqrt(t)."""
        return sqrt(t)

    def time(self, log_snr: Coefficient) -> Coefficient:
        """e^{-l}."""
        return exp(-log_snr)
