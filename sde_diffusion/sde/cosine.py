"""The cosine process."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import (
    atan,
    cos,
    exp,
    sin,
    sqrt,
    tan,
)
from solvers.elementwise import Coefficient

_QUARTER = math.pi / 2


@dataclass(frozen=True)
class Cosine(LinearSDE):
    """alpha = cos(pi t/2), sigma = sin(pi t/2). At t = 0, x is the data itself.

    At t = 1 the signal is gone and f = -pi/2 tan(pi t/2) is infinite: the equation holds on [0, 1), and the horizon
    stops short of the end (the discrete schedule clips beta at 0.999 for the same reason).

    References:
        Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672,
            section 3.2
        Salimans & Ho, Progressive Distillation for Fast Sampling of Diffusion Models, 2022,
            https://arxiv.org/abs/2202.00512, appendix B
    """

    horizon: float = 0.999
    t_min: float = 1e-3

    def __post_init__(self):
        """Raises ValueError unless 0 < t_min < horizon < 1."""
        if not 0 < self.t_min < self.horizon < 1:
            raise ValueError(
                f"Cosine needs 0 < t_min < horizon < 1, got {self.t_min:g} and {self.horizon:g}; stop short of t = 1"
            )

    def f(self, t: Coefficient) -> Coefficient:
        """-pi/2 tan(pi t/2)."""
        return -_QUARTER * tan(_QUARTER * t)

    def g(self, t: Coefficient) -> Coefficient:
        """sqrt(pi tan(pi t/2))."""
        return sqrt(2 * _QUARTER * tan(_QUARTER * t))

    def alpha(self, t: Coefficient) -> Coefficient:
        """cos(pi t/2)."""
        return cos(_QUARTER * t)

    def sigma(self, t: Coefficient) -> Coefficient:
        """sin(pi t/2)."""
        return sin(_QUARTER * t)

    def time(self, log_snr: Coefficient) -> Coefficient:
        """From sigma/alpha = tan(pi t/2)."""
        return atan(exp(-0.5 * log_snr)) / _QUARTER
