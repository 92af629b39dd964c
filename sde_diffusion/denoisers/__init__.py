"""Denoisers: E[x_0 | x_t] for any Gaussian channel, and what wraps one."""

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.denoisers.compiled import Compiled
from sde_diffusion.denoisers.conditioned import Conditioned
from sde_diffusion.denoisers.counting import CallCounter
from sde_diffusion.denoisers.ends import Ends, PreconditionedEnds
from sde_diffusion.denoisers.energy import EnergyDenoiser
from sde_diffusion.denoisers.learned_variance import LearnedVariance
from sde_diffusion.denoisers.limited import Coupled, HalfBridge, Limited

__all__ = [
    "CallCounter",
    "Compiled",
    "Conditioned",
    "Coupled",
    "Denoiser",
    "Ends",
    "EnergyDenoiser",
    "HalfBridge",
    "LearnedVariance",
    "Limited",
    "Preconditioned",
    "PreconditionedEnds",
]
