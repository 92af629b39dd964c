"""Weighted particles: sequential Monte Carlo over the paths of a stochastic method."""

from solvers.particles.sets import ParticleSets, systematic
from solvers.particles.weighted import Look, Outcome, Weighting, weighted_paths

__all__ = ["Look", "Outcome", "ParticleSets", "Weighting", "systematic", "weighted_paths"]
