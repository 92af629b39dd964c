"""Error against cost: one line for each sampler, both axes logarithmic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from sde_diffusion.report.plots.style import (
    colour,
    figure,
    literal,
    marker,
    save,
)

REACH = 100
"""How many times the median error the largest one drawn is: what diverges leaves the axes."""


@dataclass(frozen=True)
class Line:
    """What one sampler costs and errs: equally many numbers in `cost` and `error`, `low` and `high` where known."""

    name: str
    cost: Sequence[float]
    error: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Panel:
    """One pair of axes. `floor` is (low, high, what it is): the error that no sampler can be seen to beat."""

    title: str
    ylabel: str
    lines: Sequence[Line] = field(default_factory=list)
    floor: tuple[float, float, str] | None = None


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
    for line in panel.lines:
        index = names.index(line.name)
        axis.plot(line.cost, line.error, color=colour(index), marker=marker(index), label=line.name)
        if line.low:
            axis.fill_between(line.cost, line.low, line.high, color=colour(index), alpha=0.13, linewidth=0)
    if panel.floor:
        low, high, meaning = panel.floor
        axis.axhspan(low, high, color="#BBBBBB", alpha=0.6, label=meaning)
    axis.set(xscale="log", yscale="log", title=panel.title, ylabel=panel.ylabel)
    axis.set_xlabel("network evaluations per sample (NFE)")
    axis.set_ylim(*_range(panel))
    _ticks(axis, sorted({cost for line in panel.lines for cost in line.cost}))


def _range(panel: Panel) -> tuple[float, float]:
    """The ends of the error axis: all errors and the floor, but no sampler that diverges may flatten the others."""
    errors = [error for line in panel.lines for error in line.error if 0 < error < math.inf]
    errors += [end for end in (panel.floor or ())[:2] if isinstance(end, float) and end > 0]
    errors = errors or [1.0]
    return min(errors) / 1.6, min(max(errors), REACH * median(errors)) * 1.6


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
