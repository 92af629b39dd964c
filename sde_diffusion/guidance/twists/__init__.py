"""Twists: what an observation says of a noisy sample, from the denoiser's answer and its derivative."""

from sde_diffusion.guidance.twists.base import Guided, Moments, Twist, Twisted
from sde_diffusion.guidance.twists.moment_matching import MomentMatching
from sde_diffusion.guidance.twists.point import Point
from sde_diffusion.guidance.twists.pseudo_inverse import Proximal, PseudoInverse
from sde_diffusion.guidance.twists.scalar import Scalar

__all__ = ["Guided", "MomentMatching", "Moments", "Point", "Proximal", "PseudoInverse", "Scalar", "Twist", "Twisted"]
