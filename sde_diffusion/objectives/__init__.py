"""Losses and weightings."""

from sde_diffusion.objectives.denoising import DenoisingScoreMatching
from sde_diffusion.objectives.weighting import (
    EDMWeighting,
    LogNormalLevel,
    MinSNR,
    likelihood,
    simple,
    uniform_log_snr,
    uniform_time,
)

__all__ = [
    "DenoisingScoreMatching",
    "EDMWeighting",
    "LogNormalLevel",
    "MinSNR",
    "likelihood",
    "simple",
    "uniform_log_snr",
    "uniform_time",
]
