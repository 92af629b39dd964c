"""Pictures of one thing at several stages: side by side, and one after another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.film import write_gif
from sde_diffusion.report.style import figure, save


def stages(pictures: Mapping[str, Path], path: Path, most: int = 4) -> Path:
    """Write the PNG files, of one size, with their names, in rows of up to `most`, as even as can be."""
    rows = math.ceil(len(pictures) / most)
    columns = math.ceil(len(pictures) / rows)
    frames = {name: read_pixels(one) for name, one in pictures.items()}
    height, width, _ = next(iter(frames.values())).shape
    inches = 9.6 / columns
    with figure(9.6, rows * (inches * height / width + 0.35)) as drawing:
        axes = drawing.subplots(rows, columns, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, (name, frame) in zip(axes, frames.items(), strict=False):
            axis.imshow(frame, interpolation="nearest")
            axis.set_title(name, fontsize=10, fontweight="normal")
        return save(drawing, path)


def film_of(pictures: Sequence[Path], path: Path, stay: float = 0.7, rest: float = 2.5) -> Path:
    """Write the PNG files as a GIF; each stays for `stay` seconds, the last one for `rest`."""
    frames = [read_pixels(one) for one in pictures]
    return write_gif(frames, path, [*[stay] * (len(frames) - 1), rest])


def read_pixels(path: Path) -> np.ndarray:
    """A picture file as uint8 (H, W, 3)."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
