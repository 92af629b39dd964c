"""An animated GIF of frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_diffusion.io.atomic import replace_file

if TYPE_CHECKING:
    from PIL.Image import Image

FEW, MANY = 96, 200
"""How many colours a GIF of drawings has, and one of photographs."""
VISIBLE = 3.0
"""Of 255, root mean square over pixels and channels: a larger difference is visible."""


def write_gif(frames: Iterable[np.ndarray], path: Path, seconds: Sequence[float] | float = 0.07) -> Path:
    """Write frames, uint8 (H, W, 3) each, as a GIF that loops; `seconds` is the duration of each frame.

    All frames share one palette, made from a few of them, so that colours do not flicker. Raises ValueError without frames.
    """
    from PIL import Image

    pictures = [Image.fromarray(frame) for frame in frames]
    if not pictures:
        raise ValueError("an animation needs at least one frame, got none; give some")
    models = [np.asarray(pictures[i]) for i in spread(len(pictures), 5)]
    palette = _palette(Image.fromarray(np.concatenate(models)))
    reduced = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
    durations = [seconds] * len(reduced) if isinstance(seconds, float | int) else seconds
    path.parent.mkdir(parents=True, exist_ok=True)
    milliseconds = [round(1000 * duration) for duration in durations]
    drawn = BytesIO()
    reduced[0].save(drawn, "GIF", save_all=True, append_images=reduced[1:], duration=milliseconds, loop=0)
    replace_file(path, drawn.getvalue())
    return path


def _palette(picture: Image) -> Image:
    """The picture in few colours that cover all it has; where the difference is visible, in more that are right on average."""
    from PIL.Image import Dither, Quantize

    few = picture.quantize(FEW, Quantize.MAXCOVERAGE, dither=Dither.NONE)
    change = np.asarray(few.convert("RGB"), np.float32) - np.asarray(picture, np.float32)
    return few if np.sqrt(np.square(change).mean()) <= VISIBLE else picture.quantize(MANY, dither=Dither.NONE)


def spread(count: int, wanted: int) -> list[int]:
    """`wanted` of 0 .. count - 1, evenly spread, both ends among them; all where there are fewer."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(wanted, count)).tolist()})
