"""Scatter plots of points on the plane, side by side."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from sde_diffusion.report.plots.style import colour, figure, save


def plot_points(groups: Mapping[str, Tensor], path: Path, columns: int = 3) -> Path:
    """Write a square of points (N, 2) for each name, all of one scale; the first group (real data) is black."""
    columns = min(columns, len(groups))
    rows = math.ceil(len(groups) / columns)
    reach = 1.05 * max(float(x.abs().quantile(0.999)) for x in groups.values())
    with figure(3.2 * columns, 3.3 * rows) as drawing:
        axes = drawing.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
        for index, (axis, (name, x)) in enumerate(zip(axes, groups.items(), strict=False)):
            points = x.cpu().double().numpy()
            ink = colour(index - 1) if index else "#000000"
            axis.scatter(points[:, 0], points[:, 1], s=4, color=ink, alpha=0.6, linewidths=0)
            axis.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
            axis.set_title(name, fontsize=9, fontweight="normal")
        for axis in axes[len(groups) :]:
            axis.set_axis_off()
        return save(drawing, path)
