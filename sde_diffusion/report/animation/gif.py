"""An animated GIF of frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

COLOURS = 200
"""How many colours the GIF has."""


def write_gif(frames: Iterable[np.ndarray], path: Path, seconds: Sequence[float] | float = 0.07) -> Path:
    """Write frames, uint8 (H, W, 3) each, as a GIF that loops; `seconds` is the duration of each frame.

    All frames share one palette, made from a few of them, so that colours do not flicker. Raises ValueError without frames.
    """
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    if not pictures:
        raise ValueError("an animation needs at least one frame, got none; give some")
    models = [np.asarray(pictures[i]) for i in spread(len(pictures), 5)]
    palette = Image.fromarray(np.concatenate(models)).quantize(COLOURS)
    reduced = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [seconds] * len(reduced) if isinstance(seconds, float | int) else seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    milliseconds = [round(1000 * duration) for duration in durations]
    reduced[0].save(path, save_all=True, append_images=reduced[1:], duration=milliseconds, loop=0)
    return path


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` of 0 .. count - 1, evenly spread, both ends among them; all where there are fewer."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(wanted, count)).tolist()})
