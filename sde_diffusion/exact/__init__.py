"""Distributions whose score, posterior mean and flow are known in closed form: the oracle of tests and benchmarks."""

from sde_diffusion.exact.classes import ClassDenoiser, MixtureOfClasses
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.empirical import Empirical, SmoothedEmpirical
from sde_diffusion.exact.entropic import PointBridge, log_plan
from sde_diffusion.exact.exact_ends import ExactEnds
from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mismatch import Mismatch, prior_mismatch
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.plan_bridge import PlanBridge, PlanMoments
from sde_diffusion.exact.plans import entropic_plan, independent_plan, joint, potentials_plan
from sde_diffusion.exact.posterior import ScalarPosterior, given_linear
from sde_diffusion.exact.potentials import MixturePotentials, random_potentials
from sde_diffusion.exact.reference_flow import flow_end_point

__all__ = [
    "ClassDenoiser",
    "Empirical",
    "ExactDenoiser",
    "ExactEnds",
    "Gaussian",
    "Law",
    "Mismatch",
    "Mixture",
    "MixtureOfClasses",
    "MixturePotentials",
    "PlanBridge",
    "PlanMoments",
    "PointBridge",
    "ScalarPosterior",
    "SmoothedEmpirical",
    "entropic_plan",
    "flow_end_point",
    "given_linear",
    "independent_plan",
    "joint",
    "log_plan",
    "potentials_plan",
    "prior_mismatch",
    "random_potentials",
]
