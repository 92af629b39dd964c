"""Error against cost: one line for each sampler, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median_low

from sde_diffusion.report.plots.style import (
    colour,
    figure,
    literal,
    marker,
    plain_log_ticks,
    save,
)

REACH = 10
"""The error axis ends at most so many times above the typical sampler's largest error: what diverges is only marked."""

OFF_SCALE = "off the scale"


@dataclass(frozen=True)
class Line:
    """Errors of one sampler against cost: equally many numbers in `cost` and `error`, and in `low` and `high` where known."""

    name: str
    cost: Sequence[float]
    error: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `baseline` is (low, high, what it is): the error of real or exact samples, a grey band."""

    title: str
    ylabel: str
    lines: Sequence[Line] = field(default_factory=list)
    baseline: tuple[float, float, str] | None = None


def cost_plot(panels: Sequence[Panel], path: Path, title: str = "") -> Path:
    """Write the panels side by side, with one legend below for all: a sampler has one colour and one marker."""
    names = list(dict.fromkeys(line.name for panel in panels for line in panel.lines))
    with figure(5.4 * len(panels) + 0.4, 4.4 + 0.22 * len(names) / 2) as drawing:
        drawing.suptitle(literal(title), fontweight="bold")
        for axis, panel in zip(drawing.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            _draw(axis, panel, names)
        handles = _handles(drawing)
        drawing.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=2)
        return save(drawing, path)


def _draw(axis, panel: Panel, names: list[str]) -> None:
    bottom, top = _range(panel)
    for line in panel.lines:
        index = names.index(line.name)
        axis.plot(line.cost, line.error, color=colour(index), marker=marker(index), label=line.name)
        beyond = [cost for cost, error in zip(line.cost, line.error, strict=True) if not error <= top]
        if beyond:
            edge = [0.985] * len(beyond)
            axis.plot(
                beyond,
                edge,
                "^",
                color=colour(index),
                markersize=8,
                transform=axis.get_xaxis_transform(),
                clip_on=False,
            )
        if line.low:
            axis.fill_between(line.cost, line.low, line.high, color=colour(index), alpha=0.13, linewidth=0)
    if panel.baseline:
        low, high, meaning = panel.baseline
        axis.axhspan(low, high, color="#BBBBBB", alpha=0.6, label=meaning)
    axis.set(xscale="log", yscale="log", title=panel.title, ylabel=panel.ylabel)
    axis.set_xlabel("network evaluations per sample (NFE)")
    axis.set_ylim(bottom, top)
    plain_log_ticks(axis)
    if any(not error <= top for line in panel.lines for error in line.error):
        axis.plot([], [], "^", color="#666666", markersize=8, linestyle="none", label=OFF_SCALE)
    _ticks(axis, sorted({cost for line in panel.lines for cost in line.cost}))


def _range(panel: Panel) -> tuple[float, float]:
    """The ends of the error axis: all errors and the baseline, but a sampler that diverges does not flatten the others.

    The upper end is at most `REACH` times the median of the samplers' largest errors.
    """
    lines = [found for line in panel.lines if (found := [error for error in line.error if 0 < error < math.inf])]
    ends = [end for end in (panel.baseline or ())[:2] if isinstance(end, float) and end > 0]
    errors = [error for line in lines for error in line] + ends or [1.0]
    typical = median_low([max(line) for line in lines]) if lines else max(errors)
    return min(errors) / 1.6, min(max(errors), REACH * max(typical, *ends, 0.0)) * 1.6


def _ticks(axis, costs: Sequence[float]) -> None:
    """A tick at the costs, thinned to those that are at least a factor of 1.4 apart."""
    kept: list[float] = []
    for cost in costs:
        if not kept or cost >= 1.4 * kept[-1]:
            kept.append(cost)
    axis.set_xticks(kept, [f"{cost:g}" for cost in kept])
    axis.set_xticks([], minor=True)


def _handles(drawing) -> dict:
    pairs = (axis.get_legend_handles_labels() for axis in drawing.axes)
    return {label: handle for handles, labels in pairs for handle, label in zip(handles, labels, strict=True)}
