"""A grid of pictures."""

from __future__ import annotations

import math
from pathlib import Path

from torch import Tensor

from sde_diffusion.report.pixels import tiled, zoom_for


def image_grid(x: Tensor, path: Path, columns: int | None = None) -> Path:
    """Write pictures (N, C, H, W) in [-1, 1] as one PNG, about square unless `columns` is given."""
    from PIL import Image

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = columns or math.ceil(math.sqrt(len(x)))
    Image.fromarray(tiled(x, columns, zoom_for(x.shape[-1]))).save(path)
    return path
