"""Distributions whose score, posterior mean and flow are known in closed form: the oracle of tests and benchmarks."""

from sde_diffusion.exact.classes import ClassDenoiser, MixtureOfClasses
from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.empirical import Empirical, SmoothedEmpirical
from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mismatch import Mismatch, prior_mismatch
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.posterior import ScalarPosterior, given_linear
from sde_diffusion.exact.reference_flow import flow_end_point

__all__ = [
    "ClassDenoiser",
    "Empirical",
    "ExactDenoiser",
    "Gaussian",
    "Law",
    "Mismatch",
    "Mixture",
    "MixtureOfClasses",
    "ScalarPosterior",
    "SmoothedEmpirical",
    "flow_end_point",
    "given_linear",
    "prior_mismatch",
]
