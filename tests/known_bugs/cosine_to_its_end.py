"""The cosine schedule run to t = 1, where the signal is gone and its rate is infinite; the discrete one is clipped."""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.sde import Cosine
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "finite at both ends", r"the signal is gone at the horizon"


@dataclass(frozen=True)
class Whole(Cosine):
    horizon: float = 1.0

    def __post_init__(self):
        pass


def report():
    return check_sde(Whole())
