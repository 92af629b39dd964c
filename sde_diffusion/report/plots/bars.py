"""Metrics with intervals, each as a ratio to real data; and class shares as bars."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sde_diffusion.report.plots.style import colour, figure, literal, save

GREY = "#BBBBBB"
LOG_ABOVE = 4.0
"""A ratio beyond this, or below its inverse, makes the axis of ratios logarithmic."""


@dataclass(frozen=True)
class MetricRow:
    """A metric of samples and of real data, each as (value, low, high).

    Attributes:
        name: of the metric.
        samples: the samples' value and interval.
        real: the real data's value and interval.
        ratio: whether the samples are shown as a multiple of the real value; else as a difference from it, in half-widths
            of the real data's interval, which suits metrics whose mean is 0 for equal distributions.
    """

    name: str
    samples: tuple[float, float, float]
    real: tuple[float, float, float]
    ratio: bool

    def scaled(self, numbers: tuple[float, float, float]) -> tuple[float, float, float]:
        """The three numbers in the units of the row's axis."""
        value, low, high = self.real
        if self.ratio:
            return tuple(number / value for number in numbers)  # pyright: ignore[reportReturnType]
        half = (high - low) / 2 or 1.0
        return tuple((number - value) / half for number in numbers)  # pyright: ignore[reportReturnType]


def metric_plot(rows: Sequence[MetricRow], path: Path, title: str = "") -> Path:
    """Write one row for each metric: a dot with the samples' interval, on a grey bar of the real data's interval."""
    groups = [[row for row in rows if row.ratio is kind] for kind in (True, False)]
    labels = ["ratio to real data (1: as good)", "difference from real data, in half-widths of its 95% interval"]
    shown = [(group, label) for group, label in zip(groups, labels, strict=True) if group]
    with figure(7.6, 0.42 * len(rows) + 0.75 * len(shown) + 0.5) as drawing:
        drawing.suptitle(literal(title), fontweight="bold", fontsize=11)
        heights = [len(group) + 0.4 for group, _ in shown]
        axes = drawing.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
        for axis, (group, label) in zip(axes, shown, strict=True):
            _dots(axis, group)
            axis.set(xlabel=label)
        return save(drawing, path)


def _dots(axis, rows: Sequence[MetricRow]) -> None:
    ends = []
    for place, row in enumerate(rows):
        value, low, high = row.scaled(row.samples)
        _, real_low, real_high = row.scaled(row.real)
        axis.barh(place, real_high - real_low, 0.62, real_low, color=GREY, label="real data, 95%")
        axis.plot([low, high], [place, place], color=colour(0), linewidth=2)
        axis.plot(value, place, "o", color=colour(0), label="samples, 95%")
        axis.annotate(
            f"{row.samples[0]:.3g} (real {row.real[0]:.3g})", (1.01, place), xycoords=("axes fraction", "data"),
            va="center", fontsize=8,
        )  # fmt: skip
        ends += [value, low, high, real_low, real_high]
    axis.axvline(1.0 if rows[0].ratio else 0.0, color="black", linewidth=0.9)
    axis.set_yticks(range(len(rows)), [literal(row.name) for row in rows])
    axis.set(ylim=(len(rows) - 0.5, -0.5))
    axis.grid(axis="y", visible=False)
    if rows[0].ratio and min(ends) > 0 and (max(ends) > LOG_ABOVE or min(ends) < 1 / LOG_ABOVE):
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter("{x:g}")
        axis.xaxis.set_minor_formatter("")
    handles, names = axis.get_legend_handles_labels()
    unique = dict(zip(names, handles, strict=True))
    if rows[0].ratio:
        axis.legend(unique.values(), unique.keys(), loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2)


def class_shares(shares: Mapping[str, Sequence[float]], path: Path, counts: Mapping[str, int] | None = None) -> Path:
    """Write a group of bars for each class; `shares` maps a set's name to its shares, the real one (in black) first.

    `counts` are the sizes of the sets: then each bar has its 95% interval, 1.96 sqrt(p (1 - p)/n).
    """
    width = 0.8 / len(shares)
    with figure(8.4, 3.4) as drawing:
        axis = drawing.subplots()
        for index, (name, values) in enumerate(shares.items()):
            places = [k + (index - (len(shares) - 1) / 2) * width for k in range(len(values))]
            errors = None if counts is None else [1.96 * math.sqrt(p * (1 - p) / counts[name]) for p in values]
            ink = colour(index - 1) if index else "#000000"
            style = {"elinewidth": 0.8, "ecolor": "#555555"}
            axis.bar(places, values, width * 0.92, color=ink, label=name, yerr=errors, error_kw=style)
        axis.set(xlabel="class", ylabel="share", title="Share of each class")
        axis.set_ylim(bottom=0)
        axis.set_xticks(range(len(next(iter(shares.values())))))
        axis.grid(axis="x", visible=False)
        drawing.legend(ncols=6, loc="outside lower center")
        return save(drawing, path)
