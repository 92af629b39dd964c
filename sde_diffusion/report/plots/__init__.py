"""Plots: each function takes plain tensors or numbers, writes a PNG and returns its path."""

from sde_diffusion.report.plots.images import plot_samples
from sde_diffusion.report.plots.points import plot_points

__all__ = ["plot_points", "plot_samples"]
