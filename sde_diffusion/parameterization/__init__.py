"""What the raw network output means, one meaning a file."""

from sde_diffusion.parameterization.base import Parameterization
from sde_diffusion.parameterization.data import Data
from sde_diffusion.parameterization.edm import EDMPreconditioning
from sde_diffusion.parameterization.flow import Flow
from sde_diffusion.parameterization.noise import Noise
from sde_diffusion.parameterization.score import Score
from sde_diffusion.parameterization.velocity import Velocity

__all__ = ["Data", "EDMPreconditioning", "Flow", "Noise", "Parameterization", "Score", "Velocity"]
