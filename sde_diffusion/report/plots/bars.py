"""Bar charts: measures with intervals, and class shares.

Bars with intervals, a pair of axes for each measure: every measure has a scale of its own.

The share of each class among generated and real pictures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from sde_diffusion.report.plots.style import (
    colour,
    figure,
    literal,
    save,
)

Bar = tuple[float, float, float]
"""Value, and the low and the high end of its interval."""

COLUMNS = 5


def bars(measures: Mapping[str, Mapping[str, Bar]], path: Path, title: str = "") -> Path:
    """Write one panel for each measure, with a bar and its interval for each named set."""
    columns = min(COLUMNS, len(measures))
    rows = math.ceil(len(measures) / columns)
    with figure(2.1 * columns + 0.6, 2.6 * rows + 0.6) as drawing:
        drawing.suptitle(literal(title), fontweight="bold", fontsize=11)
        axes = drawing.subplots(rows, columns, squeeze=False).flatten()
        for axis, (name, sets) in zip(axes, measures.items(), strict=False):
            for index, (value, low, high) in enumerate(sets.values()):
                axis.bar(index, value, 0.7, color="#BBBBBB" if index else colour(0))
                axis.plot([index, index], [low, high], color="black", linewidth=1.6, marker="_", markersize=9)
            axis.set(title=literal(name), xlim=(-0.6, len(sets) - 0.4))
            axis.set_xticks(range(len(sets)), [literal(label) for label in sets])
            axis.axhline(0, color="black", linewidth=0.8)
            axis.grid(axis="x", visible=False)
        for axis in axes[len(measures) :]:
            axis.set_visible(False)
        return save(drawing, path)


def class_shares(shares: Mapping[str, Sequence[float]], path: Path) -> Path:
    """Write a group of bars for each class; `shares` maps a set's name to its shares, the real one (in black) first."""
    width = 0.8 / len(shares)
    with figure(8.4, 3.4) as drawing:
        axis = drawing.subplots()
        for index, (name, values) in enumerate(shares.items()):
            places = [k + (index - (len(shares) - 1) / 2) * width for k in range(len(values))]
            axis.bar(places, values, width * 0.92, color=colour(index - 1) if index else "#000000", label=name)
        axis.set(xlabel="class", ylabel="share", title="Share of each class")
        axis.set_xticks(range(len(next(iter(shares.values())))))
        axis.grid(axis="x", visible=False)
        drawing.legend(ncols=6, loc="outside lower center")
        return save(drawing, path)
