"""The style of every figure: one palette that is safe for colour-blind readers, few lines.

Figures are made without pyplot, so that no global state changes and no display is needed.

References:
    Okabe & Ito, Color Universal Design, 2008, https://jfly.uni-koeln.de/color/
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sde_diffusion.io.atomic import replace_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.Image import Image

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#9A8B00")
MARKERS = "osD^vPX*"
DENSITY = "cividis"
"""The colour map of densities: its lightness rises evenly, for colour-blind eyes and in grey print too."""

AT_AN_EDGE, ON_AVERAGE = 24, 1.5
"""Of 255: invisible differences of colour, largest and root mean square over the pixels."""
PHOTOGRAPH = 12_000
"""A picture of more colours is no drawing, and keeps them all."""

RULES = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.labelsize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#D8D8D8",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "lines.linewidth": 1.8,
    "lines.markersize": 6,
    "figure.facecolor": "white",
    "savefig.dpi": 120,
}


@contextmanager
def figure(width: float, height: float, **options) -> Iterator[Figure]:
    """An empty figure of the given size in inches; the style holds while the block lasts."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context(RULES):  # pyright: ignore[reportArgumentType]
        drawing = Figure(figsize=(width, height), layout="constrained", **options)
        FigureCanvasAgg(drawing)
        yield drawing


def save(drawing: Figure, path: str | os.PathLike) -> Path:
    """Write the figure as PNG and return the path; its folder is made where it is missing.

    The file has a palette of 256 colours, a third of the size, where the difference is invisible.
    """
    from PIL import Image

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    drawing.savefig(drawn, format="png")
    with Image.open(drawn) as picture:
        reduced = BytesIO()
        with_palette(picture).save(reduced, "PNG", optimize=True, dpi=picture.info["dpi"])
    replace_file(path, reduced.getvalue())
    return path


def with_palette(picture: Image) -> Image:
    """The picture, opaque, in 256 colours; in all its colours if it is a photograph or the difference is visible."""
    from PIL.Image import Dither, Quantize

    full = picture.convert("RGB")
    if full.getcolors(PHOTOGRAPH) is None:
        return full
    for refinements in (0, 1):  # the second takes longer, and is needed where pale areas overlap
        few = full.quantize(256, Quantize.MAXCOVERAGE, kmeans=refinements, dither=Dither.NONE)
        change = np.abs(np.asarray(few.convert("RGB"), np.float32) - np.asarray(full, np.float32)).max(-1)
        if change.max() <= AT_AN_EDGE and np.sqrt(np.square(change).mean()) <= ON_AVERAGE:
            return few
    return full


def plain_log_ticks(axis) -> None:
    """Ticks of a logarithmic y-axis as plain numbers; only the powers of ten over more than three decades."""
    from matplotlib.ticker import LogLocator, NullLocator

    low, high = axis.get_ylim()
    if high > 1e3 * low:
        return
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high > 5 * low else (1, 1.5, 2, 3, 4, 5, 7)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter("{x:g}")


def literal(text: str) -> str:
    """A user's text as it is: a dollar sign starts no formula."""
    return text.replace("$", r"\$")


def colour(index: int) -> str:
    """The index-th colour of the palette, cyclically."""
    return PALETTE[index % len(PALETTE)]


def marker(index: int) -> str:
    """The index-th marker, cyclically: lines differ by more than their colour."""
    return MARKERS[index % len(MARKERS)]
