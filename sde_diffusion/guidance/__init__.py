"""Guidance: a guided denoiser is a denoiser, so that every process, reversal, method, grid and likelihood takes one."""

from sde_diffusion.guidance.autoguidance import Autoguidance
from sde_diffusion.guidance.base import Guidance
from sde_diffusion.guidance.by_name import Guide, by_name
from sde_diffusion.guidance.classifier import ClassifierGuidance
from sde_diffusion.guidance.classifier_free import ClassifierFree
from sde_diffusion.guidance.combined import MixtureOfDenoisers, SumOfScores
from sde_diffusion.guidance.corrected import Corrected, CorrectedGuidance, Product
from sde_diffusion.guidance.projected import Projected
from sde_diffusion.guidance.ramped import Ramped
from sde_diffusion.guidance.twisted import TwistedWeighting

__all__ = [
    "Autoguidance",
    "ClassifierFree",
    "ClassifierGuidance",
    "Corrected",
    "CorrectedGuidance",
    "Guidance",
    "Guide",
    "MixtureOfDenoisers",
    "Product",
    "Projected",
    "Ramped",
    "SumOfScores",
    "TwistedWeighting",
    "by_name",
]
