"""Images as pixels, as one grid, and in named rows; and samples of any shape as one picture."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.io.atomic import replace_file
from sde_diffusion.report.plots.style import colour, figure, save

WIDTH = 800
"""About how many pixels wide a grid of images is written."""


def to_pixels(x: Tensor) -> np.ndarray:
    """Images (N, C, H, W) in [-1, 1] as uint8 (N, H, W, 3): grey is repeated, values outside are clamped.

    Raises ValueError for samples that are no images.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"images have shape (N, 1 or 3, H, W), got {tuple(x.shape)}; use plot_points for points")
    levels = x.detach().float().cpu().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return levels.expand(-1, 3, -1, -1).movedim(1, -1).numpy()


def tiled(x: Tensor, columns: int, zoom: int = 1, gap: int = 1) -> np.ndarray:
    """Images (N, C, H, W) row by row in one array (height, width, 3), each pixel `zoom` wide, white gaps between."""
    from torchvision.utils import make_grid

    pixels = torch.from_numpy(to_pixels(x)).movedim(-1, 1)
    large = pixels.repeat_interleave(zoom, dim=2).repeat_interleave(zoom, dim=3)
    if len(large) == 1:
        return large[0].movedim(0, -1).numpy()
    edge = gap * zoom
    grid = make_grid(large, nrow=columns, padding=edge, pad_value=255)
    return grid[:, edge : grid.shape[1] - edge, edge : grid.shape[2] - edge].movedim(0, -1).contiguous().numpy()


def zoom_for(side: int, wanted: int = 40) -> int:
    """How many screen pixels an image's pixel takes so that an image of this side is about `wanted` wide; at least 1."""
    return max(1, round(wanted / side))


def image_grid(x: Tensor, path: str | os.PathLike, columns: int | None = None) -> Path:
    """Write images (N, C, H, W) in [-1, 1] as one PNG about `WIDTH` wide, about square unless `columns` is given."""
    from PIL import Image

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or math.ceil(math.sqrt(len(x)))
    zoom = zoom_for(columns * (x.shape[-1] + 1) - 1, WIDTH)
    drawn = BytesIO()
    Image.fromarray(tiled(x, columns, zoom)).save(drawn, "PNG")
    replace_file(path, drawn.getvalue())
    return path


def gallery(groups: Mapping[str, Tensor], path: Path, columns: int = 24, title: str = "") -> Path:
    """Write a strip of images (N, C, H, W) for each name; N a multiple of `columns` fills its rows."""
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


def plot_samples(x: Tensor, path: str | os.PathLike, title: str = "samples") -> Path:
    """Write samples (N, *E): images (1 or 3, H, W) as a grid, points (2,) as a scatter plot, all others as a histogram."""
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
