"""Rows of pictures with names: what each sampler makes, beside the real thing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from sde_diffusion.report.pixels import tiled, zoom_for
from sde_diffusion.report.style import figure, save


def gallery(groups: Mapping[str, Tensor], path: Path, columns: int = 24, title: str = "") -> Path:
    """Write one strip of pictures (N, C, H, W) for each name; N a multiple of `columns` fills its rows."""
    strips = {name: tiled(x, columns, zoom_for(x.shape[-1], 24)) for name, x in groups.items()}
    heights = [strip.shape[0] for strip in strips.values()]
    width = max(strip.shape[1] for strip in strips.values())
    inches = 9.6
    height = sum(heights) / width * inches + 0.32 * len(strips) + 0.4
    with figure(inches, height) as drawing:
        drawing.suptitle(title, fontweight="bold")
        axes = drawing.subplots(len(strips), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (name, strip) in zip(axes, strips.items(), strict=True):
            axis.imshow(strip, interpolation="nearest")
            axis.set_title(name, loc="left", fontsize=10, fontweight="normal")
            axis.set_axis_off()
        return save(drawing, path)
