"""Observations: what is seen of a sample, and with how much noise."""

from sde_diffusion.observations.average import BlockAverage
from sde_diffusion.observations.base import LinearMeasurement, Measurement, Observation, Projection
from sde_diffusion.observations.blur import Blur
from sde_diffusion.observations.function import Function
from sde_diffusion.observations.mask import Mask
from sde_diffusion.observations.matrix import Matrix
from sde_diffusion.observations.one_bit import OneBit
from sde_diffusion.observations.square import Square

__all__ = [
    "BlockAverage",
    "Blur",
    "Function",
    "LinearMeasurement",
    "Mask",
    "Matrix",
    "Measurement",
    "Observation",
    "OneBit",
    "Projection",
    "Square",
]
