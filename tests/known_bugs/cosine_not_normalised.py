"""The cosine schedule f(t) of Nichol & Dhariwal without its division by f(0): x at t = 0 is not the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.sde import Cosine
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "alpha is 1 at t = 0", r"not normalised: divide alpha by alpha\(0\)"
OFFSET = 0.008


@dataclass(frozen=True)
class Offset(Cosine):
    """alpha = cos(pi/2 (t + s)/(1 + s)), sigma = sin(...): every other equation holds."""

    @staticmethod
    def _moved(t):
        return (t + OFFSET) / (1 + OFFSET)

    def f(self, t):
        return super().f(self._moved(t)) / (1 + OFFSET)

    def g(self, t):
        return super().g(self._moved(t)) / math.sqrt(1 + OFFSET)

    def alpha(self, t):
        return super().alpha(self._moved(t))

    def sigma(self, t):
        return super().sigma(self._moved(t))

    def time(self, log_snr):
        return super().time(log_snr) * (1 + OFFSET) - OFFSET


def report():
    return check_sde(Offset())
