"""The variance-preserving process."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.specs import other_names
from solvers.elementary import (
    exp,
    expm1,
    softplus,
    sqrt,
)
from solvers.elementwise import Coefficient


@dataclass(frozen=True)
class LinearBeta(LinearSDE):
    """Processes driven by beta(t) = beta_min + (beta_max - beta_min) t/horizon, with f = -beta/2.

    B(t) is the integral of beta from 0 to t; alpha = e^{-B/2}.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0
    horizon: float = 1.0
    t_min: float = 1e-3

    def __post_init__(self):
        """Raises ValueError unless 0 < beta_min <= beta_max and 0 < t_min < horizon."""
        if not (0 < self.beta_min <= self.beta_max and 0 < self.t_min < self.horizon):
            raise ValueError(
                f"{type(self).__name__} needs 0 < beta_min <= beta_max and 0 < t_min < horizon, got beta "
                f"{self.beta_min:g}..{self.beta_max:g}, t {self.t_min:g}..{self.horizon:g}; correct the order"
            )

    def beta(self, t: Coefficient) -> Coefficient:
        """The rate of noising, in 1/time."""
        return self.beta_min + (self.beta_max - self.beta_min) / self.horizon * t

    def integral(self, t: Coefficient) -> Coefficient:
        """B(t), without unit."""
        return self.beta_min * t + 0.5 * (self.beta_max - self.beta_min) / self.horizon * t**2

    def time_of_integral(self, b: Coefficient) -> Coefficient:
        """The inverse of `integral`: the positive root of the quadratic, in the form that does not cancel."""
        slope = (self.beta_max - self.beta_min) / self.horizon
        return 2 * b / (self.beta_min + sqrt(self.beta_min**2 + 2 * slope * b))

    def f(self, t: Coefficient) -> Coefficient:
        """-beta(t)/2."""
        return -0.5 * self.beta(t)

    def alpha(self, t: Coefficient) -> Coefficient:
        """e^{-B/2}."""
        return exp(-0.5 * self.integral(t))


@other_names({"beta_start": "beta_min", "beta_end": "beta_max", "beta_0": "beta_min", "beta_1": "beta_max"})
@dataclass(frozen=True)
class VP(LinearBeta):
    """dx = -beta/2 x dt + sqrt(beta) dW: data of unit variance keeps unit variance. At t = 0, x is the data itself.

    References:
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, equation (11) and appendix B
    """

    def g(self, t: Coefficient) -> Coefficient:
        """sqrt(beta)."""
        return sqrt(self.beta(t))

    def sigma(self, t: Coefficient) -> Coefficient:
        """sqrt(1 - e^{-B})."""
        return sqrt(-expm1(-self.integral(t)))

    def time(self, log_snr: Coefficient) -> Coefficient:
        """From e^{-l} = e^B - 1."""
        return self.time_of_integral(softplus(-log_snr))
