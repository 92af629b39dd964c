"""The share of each class among generated and real pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from sde_diffusion.report.style import colour, figure, save


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
