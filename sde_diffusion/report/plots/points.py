"""Scatter plots of points on the plane, side by side."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sde_diffusion.report.plots.style import colour, figure, save


def plot_points(groups: Mapping[str, Any], path: str | os.PathLike, columns: int = 3) -> Path:
    """Write a scatter plot of points (N, 2), tensors or arrays, for each name; the first group (real data) is black.

    All have one scale; the axes are equal where the data's widths are alike within a factor of four.
    """
    points = {name: as_points(x) for name, x in groups.items()}
    columns = min(columns, len(points))
    rows = math.ceil(len(points) / columns)
    low, high = window(list(points.values()))
    with figure(3.2 * columns, 3.5 * rows) as drawing:
        axes = drawing.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for index, (axis, (name, x)) in enumerate(zip(axes, points.items(), strict=False)):
            ink = colour(index - 1) if index else "#000000"
            axis.scatter(x[:, 0], x[:, 1], s=4, color=ink, alpha=0.6, linewidths=0)
            axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), box_aspect=1)
            axis.set_title(name, fontsize=9, fontweight="normal")
        for axis in axes[len(points) :]:
            axis.set_axis_off()
        return save(drawing, Path(path))


def as_points(x: Any) -> np.ndarray:
    """Points (N, 2) in double precision; ValueError for another shape."""
    points = np.asarray(x.detach().cpu() if isinstance(x, Tensor) else x, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(
            f"plot_points shows points of shape (N, 2), got {points.shape}; choose two columns with x[:, :2]"
        )
    return points


def window(groups: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest corner (2,) that hold nearly all points of each group."""
    low, high = (
        reduce([np.quantile(x, q, axis=0) for x in groups], axis=0) for q, reduce in ((0.001, np.min), (0.999, np.max))
    )
    centre, half = (low + high) / 2, 0.525 * (high - low)
    if half.max() <= 4 * half.min():
        half = np.full(2, half.max())
    half = np.maximum(half, 1e-12 + 1e-6 * np.abs(centre))
    return centre - half, centre + half
