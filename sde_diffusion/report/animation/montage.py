"""Pictures of one thing at several stages: side by side, and one after another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.animation.gif import write_gif

_TITLE, _GAP, _WIDEST = 30, 12, 1600
"""Pixels above each picture for its name, between two pictures, and of the whole: larger pictures are reduced."""


def montage(pictures: Mapping[str, Path], path: Path, most: int = 4) -> Path:
    """Write the PNG files, of one size, with their names, in rows of up to `most`, as even as can be."""
    from PIL import Image, ImageDraw, ImageFont

    rows = math.ceil(len(pictures) / most)
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
    canvas.save(path)
    return path


def gif_from_images(pictures: Sequence[Path], path: Path, stay: float = 0.7, rest: float = 2.5) -> Path:
    """Write the PNG files as a GIF; each stays for `stay` seconds, the last one for `rest`."""
    frames = [read_pixels(one) for one in pictures]
    return write_gif(frames, path, [*[stay] * (len(frames) - 1), rest])


def read_pixels(path: Path) -> np.ndarray:
    """A picture file as uint8 (H, W, 3)."""
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))
