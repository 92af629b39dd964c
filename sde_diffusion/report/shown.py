"""Samples as one picture, whatever they are: a grid of images, a cloud of points, or histograms of their numbers."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from sde_diffusion.report.image_grid import image_grid
from sde_diffusion.report.style import colour, figure, save


def shown(x: Tensor, path: Path, title: str = "samples") -> Path:
    """Write events (N, *E): pictures (1 or 3, H, W) as a grid, points (2,) as a cloud, all others as a histogram."""
    if x.ndim == 4 and x.shape[1] in (1, 3):
        return image_grid(x, path)
    with figure(5.2, 5.0) as drawing:
        axis, values = drawing.subplots(), x.flatten(1).cpu().double().numpy()
        if values.shape[1] == 2:
            axis.scatter(values[:, 0], values[:, 1], s=6, color=colour(0), alpha=0.6, linewidths=0)
            axis.set(aspect="equal", xlabel="$x_1$", ylabel="$x_2$", title=title)
        else:
            axis.hist(values.ravel(), bins=60, density=True, color=colour(0))
            axis.set(xlabel="value of a coordinate", ylabel="density", title=title)
        return save(drawing, path)
