"""The prior is given sigma_max^2 as its standard deviation; a likelihood under it is off by thousands of nats."""

from __future__ import annotations

from sde_diffusion.sde import VE, GaussianPrior
from sde_diffusion.testing import check_sde

CHECK, CAUSE = "prior has the moments of the law at the horizon", r"std is a variance"


class Wide(VE):
    def prior(self, mean=0.0, variance=1.0):
        return GaussianPrior(mean, super().prior(mean, variance).std ** 2)


def report():
    return check_sde(Wide())
