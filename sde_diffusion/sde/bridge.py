r"""Processes with two ends: x_t = a(t) x_0 + b(t) x_1 + c(t) z on [0, horizon], with x_0 at t = 0 and x_1 at the horizon.

Whatever joint law the pairs (x_0, x_1) have, the ends have their marginals. `Straight(0)` is the interpolant of flow matching
and rectified flow, `Straight(eps)` the Brownian bridge of temperature eps; `Pinned` is any linear process between two points.

References:
    Lipman et al., Flow Matching for Generative Modeling, 2022, https://arxiv.org/abs/2210.02747
    Albergo, Boffi & Vanden-Eijnden, Stochastic Interpolants, 2023, https://arxiv.org/abs/2303.08797
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.junction import Junction, Rates
from solvers.elementary import cos, sin, sqrt
from solvers.elementwise import Coefficient


class Bridge(ABC):
    """a, b, c and their derivatives in closed form, from Python floats to floats and from float64 tensors to tensors."""

    horizon: float = 1.0

    @abstractmethod
    def junction(self, t: Coefficient) -> Junction:
        """(a, b, c) at a time in [0, horizon]: (1, 0, 0) at 0 and (0, 1, 0) at the horizon."""

    @abstractmethod
    def rates(self, t: Coefficient) -> Rates:
        """(a', b', c'/c) at a time inside (0, horizon), or at its ends too where c is 0 at all times."""

    @property
    @abstractmethod
    def noisy(self) -> bool:
        """Whether c > 0 inside."""

    def check_time(self, t: Coefficient) -> Coefficient:
        """t itself. Raises ValueError for a float outside [0, horizon] by more than rounding; tensors are not read."""
        if not isinstance(t, Tensor) and not -1e-9 <= t / self.horizon <= 1 + 1e-9:
            raise ValueError(f"{type(self).__name__} runs from 0 to {self.horizon:g}, got t = {t}; clamp the time")
        return t


def check_temperature(eps: float) -> None:
    """Raises ValueError for a temperature that is negative or not finite."""
    if not 0 <= eps < math.inf:
        raise ValueError(f"a bridge has a temperature eps >= 0, got {eps}; eps = 0 is a bridge without noise")


def brownian_spread(eps: float, t: Coefficient) -> Coefficient:
    """sqrt(eps t (1-t)), 0 where rounding has passed an end."""
    if not eps:
        return 0.0 * t
    left = eps * t * (1 - t)
    return sqrt(left.clamp(min=0.0)) if isinstance(left, Tensor) else math.sqrt(max(left, 0.0))


def brownian_rate(eps: float, t: Coefficient) -> Coefficient:
    """The relative rate (1 - 2t)/(2 t (1-t)) of that spread."""
    return (1 - 2 * t) / (2 * t * (1 - t)) if eps else 0.0 * t


@dataclass(frozen=True)
class _BrownianSpread(Bridge):
    """Between its ends, the spread of the Brownian bridge of sqrt(eps) dW."""

    eps: float = 0.0

    def __post_init__(self) -> None:
        check_temperature(self.eps)

    @property
    def noisy(self) -> bool:
        """eps > 0."""
        return self.eps > 0


@dataclass(frozen=True)
class Straight(_BrownianSpread):
    """(1-t, t, sqrt(eps t (1-t))): the straight line, around it the Brownian bridge of sqrt(eps) dW."""

    def junction(self, t: Coefficient) -> Junction:
        """(1-t, t, sqrt(eps t (1-t)))."""
        t = self.check_time(t)
        return Junction(1 - t, t, brownian_spread(self.eps, t))

    def rates(self, t: Coefficient) -> Rates:
        """(-1, 1, (1-2t)/(2t(1-t)))."""
        return Rates(0.0 * t - 1.0, 0.0 * t + 1.0, brownian_rate(self.eps, t))


@dataclass(frozen=True)
class Trigonometric(_BrownianSpread):
    """(cos(pi t/2), sin(pi t/2), sqrt(eps t (1-t))): keeps the variance of independent ends of equal variance."""

    def junction(self, t: Coefficient) -> Junction:
        """(cos, sin, sqrt(eps t (1-t)))."""
        angle = math.pi / 2 * self.check_time(t)
        return Junction(cos(angle), sin(angle), brownian_spread(self.eps, t))

    def rates(self, t: Coefficient) -> Rates:
        """pi/2 (-sin, cos), and the relative rate of c."""
        angle = math.pi / 2 * t
        return Rates(-math.pi / 2 * sin(angle), math.pi / 2 * cos(angle), brownian_rate(self.eps, t))
