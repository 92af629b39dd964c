"""Denoisers: E[x_0 | x_t] for any Gaussian channel, and what wraps one."""

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.denoisers.compiled import Compiled
from sde_diffusion.denoisers.conditioned import Conditioned
from sde_diffusion.denoisers.counting import CallCounter
from sde_diffusion.denoisers.energy import EnergyDenoiser
from sde_diffusion.denoisers.learned_variance import LearnedVariance

__all__ = ["CallCounter", "Compiled", "Conditioned", "Denoiser", "EnergyDenoiser", "LearnedVariance", "Preconditioned"]
