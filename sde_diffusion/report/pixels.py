"""From tensors of pictures to arrays of pixels."""

from __future__ import annotations

import math

import numpy as np
from torch import Tensor


def to_pixels(x: Tensor) -> np.ndarray:
    """Pictures (N, C, H, W) in [-1, 1] as uint8 (N, H, W, 3): grey is repeated, numbers outside are cut.

    Raises ValueError for events that are no pictures.
    """
    if x.ndim != 4 or x.shape[1] not in (1, 3):
        raise ValueError(f"pictures have shape (N, 1 or 3, H, W), got {tuple(x.shape)}; draw points as clouds")
    levels = x.detach().float().cpu().clamp(-1, 1).add(1).mul(127.5).round().byte()
    return levels.expand(-1, 3, -1, -1).movedim(1, -1).numpy()


def tiled(x: Tensor, columns: int, zoom: int = 1, gap: int = 1) -> np.ndarray:
    """Pictures (N, C, H, W) row by row in one array (height, width, 3), each pixel `zoom` wide, white gaps between."""
    pixels = to_pixels(x).repeat(zoom, axis=1).repeat(zoom, axis=2)
    count, height, width, _ = pixels.shape
    rows, gap = math.ceil(count / columns), gap * zoom
    canvas = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for index, picture in enumerate(pixels):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        canvas[top : top + height, left : left + width] = picture
    return canvas


def zoom_for(side: int, wanted: int = 40) -> int:
    """How many screen pixels a pixel takes so that a picture of this side is about `wanted` wide, at least 1."""
    return max(1, round(wanted / side))
