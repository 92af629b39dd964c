"""Solvers tuned to one model: the search, its initial tables, and the tuned solver as a file."""

from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.tuning.tune import TuneProgress, TuneSettings, tune

__all__ = ["TuneProgress", "TuneSettings", "Tuned", "tune"]
