"""Couplings: which point of one data set goes with which of another, one idea a file."""

from sde_diffusion.couplings.assignment import Assignment, assign
from sde_diffusion.couplings.base import Coupling, Pairs
from sde_diffusion.couplings.from_model import FromFar, FromNear
from sde_diffusion.couplings.gaussian import GaussianCoupling
from sde_diffusion.couplings.independent import Independent
from sde_diffusion.couplings.potentials import PotentialsCoupling, fit_potentials
from sde_diffusion.couplings.sinkhorn import Sinkhorn
from sde_diffusion.couplings.within_labels import WithinLabels

__all__ = [
    "Assignment",
    "Coupling",
    "FromFar",
    "FromNear",
    "GaussianCoupling",
    "Independent",
    "Pairs",
    "PotentialsCoupling",
    "Sinkhorn",
    "WithinLabels",
    "assign",
    "fit_potentials",
]
