"""Bits per dimension of each example, and the parts of each method's error."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, save

FEW = 30
"""Below so many examples a histogram says less than the points themselves."""


def likelihood_plot(found: Mapping[str, Any], path: Path) -> Path:
    """Write two pairs of axes for `LogProb`s by name: bits per dimension of each example, bars of the errors' parts.

    Fewer than `FEW` examples are shown as points, more as histograms.
    """
    with figure(9.6, 3.6) as drawing:
        left, right = drawing.subplots(1, 2)
        bits = {name: (-one.value.double().cpu() / (math.log(2) * one.size)).numpy() for name, one in found.items()}
        if max(map(len, bits.values())) < FEW:
            _points(left, bits)
        else:
            _histograms(left, bits)
        left.set(xlabel="bits per dimension of an example")
        _parts(right, found)
        return save(drawing, path)


def _points(axis, bits: Mapping[str, np.ndarray]) -> None:
    """A row for each method: a point for each example, and a tick at the mean."""
    for index, (name, values) in enumerate(bits.items()):
        axis.plot(values, np.full(len(values), index), "o", color=colour(index), alpha=0.6, markersize=5)
        axis.plot(values.mean(), index, "|", color="black", markersize=24, markeredgewidth=2)
        axis.annotate(name, (0.0, index - 0.32), xycoords=("axes fraction", "data"), fontsize=9)
    axis.set(ylim=(len(bits) - 0.4, -0.6), yticks=[], title="Held-out examples (ticks: means)")


def _histograms(axis, bits: Mapping[str, np.ndarray]) -> None:
    pooled = np.concatenate(list(bits.values()))
    edges = np.histogram_bin_edges(pooled, min(40, max(8, len(pooled) // (4 * len(bits)))))
    for index, (name, values) in enumerate(bits.items()):
        axis.hist(values, edges, histtype="step", linewidth=1.8, color=colour(index), label=name)
        axis.axvline(values.mean(), color=colour(index), linewidth=1.0, linestyle="--")
    axis.set(ylabel="examples", title="Held-out examples (dashed: means)")
    axis.legend()


def _parts(axis, found: Mapping[str, Any]) -> None:
    labels, sizes, colours = [], [], []
    for index, (name, one) in enumerate(found.items()):
        for part, error in one.errors.items():
            labels.append(f"{name}: {part}")
            sizes.append(error.double().square().mean().sqrt().item() / (math.log(2) * one.size))
            colours.append(colour(index))
    axis.barh(labels, sizes, color=colours)
    axis.invert_yaxis()
    axis.set(xlabel="standard error of one example, bits per dimension", title="Parts of the error")
