"""Losses, weightings and distributions of times. `objectives.base` says how an objective is called."""

from sde_diffusion.denoisers.energy import EnergyDenoiser
from sde_diffusion.denoisers.learned_variance import LearnedVariance
from sde_diffusion.objectives.base import Objective, RunContext, learnt_by, with_run
from sde_diffusion.objectives.bridge_matching import BridgeMatching, CoupledDenoising
from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.objectives.dequantised import Dequantised
from sde_diffusion.objectives.fit_schedule import fit_schedule
from sde_diffusion.objectives.forward_states import Simulated, through_kernel
from sde_diffusion.objectives.hybrid import Hybrid
from sde_diffusion.objectives.implicit import ImplicitScoreMatching
from sde_diffusion.objectives.level_schedule import LearnedSchedule, linear_schedule
from sde_diffusion.objectives.local import LocalDenoising
from sde_diffusion.objectives.sliced import SlicedScoreMatching, along_the_slice, integrated
from sde_diffusion.objectives.uncertainty import LearnedUncertainty
from sde_diffusion.objectives.uniforms import antithetic, comb, independent, stratified
from sde_diffusion.objectives.variational import ContinuousBound, DiscreteBound
from sde_diffusion.objectives.weighting import (
    P2,
    EDMWeighting,
    LogitNormal,
    LogNormalLevel,
    MinSNR,
    OverLogSNR,
    Sigmoid,
    flow,
    likelihood,
    simple,
    uniform_log_snr,
    uniform_time,
)

__all__ = [
    "P2",
    "BridgeMatching",
    "ContinuousBound",
    "CoupledDenoising",
    "DenoisingScoreMatching",
    "Dequantised",
    "DiscreteBound",
    "EDMWeighting",
    "EnergyDenoiser",
    "Hybrid",
    "ImplicitScoreMatching",
    "LearnedSchedule",
    "LearnedUncertainty",
    "LearnedVariance",
    "LocalDenoising",
    "LogNormalLevel",
    "LogitNormal",
    "MinSNR",
    "Objective",
    "OverLogSNR",
    "RunContext",
    "Sigmoid",
    "Simulated",
    "SlicedScoreMatching",
    "along_the_slice",
    "antithetic",
    "comb",
    "fit_schedule",
    "flow",
    "independent",
    "integrated",
    "learnt_by",
    "likelihood",
    "linear_schedule",
    "simple",
    "stratified",
    "through_kernel",
    "uniform_log_snr",
    "uniform_time",
    "with_run",
]
