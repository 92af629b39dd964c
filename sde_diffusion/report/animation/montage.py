"""Image files of several stages of a training: side by side, and as a GIF."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from sde_diffusion.io.atomic import replace_file
from sde_diffusion.report.animation.gif import write_gif

_TITLE, _GAP, _WIDEST = 30, 12, 1600
"""Pixels above each image for its name, between two images, and the largest width: larger images are reduced."""


def montage(pictures: Mapping[str, Path], path: Path, max_columns: int = 4) -> Path:
    """Write the PNG files, all of one size, under their names, in rows of up to `max_columns`, as even as possible."""
    from PIL import Image, ImageDraw, ImageFont

    rows = math.ceil(len(pictures) / max_columns)
    columns = math.ceil(len(pictures) / rows)
    frames = {name: Image.fromarray(read_pixels(one)) for name, one in pictures.items()}
    for frame in frames.values():
        frame.thumbnail((_WIDEST // columns, frame.height))
    width, height = next(iter(frames.values())).size
    size = columns * (width + _GAP) - _GAP, rows * (height + _TITLE)
    canvas = Image.new("RGB", size, "white")
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(18)
    for index, (name, frame) in enumerate(frames.items()):
        left, top = index % columns * (width + _GAP), index // columns * (height + _TITLE)
        pen.text((left, top + 4), name, "black", font)
        canvas.paste(frame, (left, top + _TITLE))
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    canvas.save(drawn, "PNG")
    replace_file(path, drawn.getvalue())
    return path


def gif_from_images(
    pictures: Sequence[Path], path: Path, frame_seconds: float = 0.7, last_seconds: float = 2.5
) -> Path:
    """Write the PNG files as a GIF; each is shown for `frame_seconds`, the last one for `last_seconds`."""
    frames = [read_pixels(one) for one in pictures]
    return write_gif(frames, path, [*[frame_seconds] * (len(frames) - 1), last_seconds])


def read_pixels(path: Path) -> np.ndarray:
    """An image file as uint8 (H, W, 3)."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
