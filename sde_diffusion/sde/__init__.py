"""Forward processes, one a file."""

from sde_diffusion.sde.base import SDE, LinearSDE
from sde_diffusion.sde.bridge import Bridge, Straight, Trigonometric
from sde_diffusion.sde.brownian import Brownian
from sde_diffusion.sde.cosine import Cosine
from sde_diffusion.sde.ddpm import DDPM
from sde_diffusion.sde.edm import EDM
from sde_diffusion.sde.pinned import Pinned
from sde_diffusion.sde.prior import GaussianPrior
from sde_diffusion.sde.rectified import Rectified
from sde_diffusion.sde.state_dependent import StateDependentSDE
from sde_diffusion.sde.sub_vp import SubVP
from sde_diffusion.sde.ve import VE
from sde_diffusion.sde.vp import VP

__all__ = [
    "DDPM",
    "EDM",
    "SDE",
    "VE",
    "VP",
    "Bridge",
    "Brownian",
    "Cosine",
    "GaussianPrior",
    "LinearSDE",
    "Pinned",
    "Rectified",
    "StateDependentSDE",
    "Straight",
    "SubVP",
    "Trigonometric",
]
