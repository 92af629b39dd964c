"""Bits per dimension, event by event, and what each method's error is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, save


def likelihood_plot(found: Mapping[str, Any], path: Path) -> Path:
    """Write two pairs of axes for `LogProb`s by name: histograms of bits per dimension, bars of the errors' parts."""
    with figure(9.6, 3.6) as drawing:
        left, right = drawing.subplots(1, 2)
        bits = {name: (-one.value.double().cpu() / (math.log(2) * one.size)).numpy() for name, one in found.items()}
        pooled = np.concatenate(list(bits.values()))
        edges = np.histogram_bin_edges(pooled, min(40, max(8, len(pooled) // (4 * len(bits)))))
        for index, (name, values) in enumerate(bits.items()):
            left.hist(values, edges, histtype="step", linewidth=1.8, color=colour(index), label=name)
            left.axvline(values.mean(), color=colour(index), linewidth=1.0, linestyle="--")
        left.set(xlabel="bits per dimension of an event", ylabel="events", title="Held-out events (dashed: means)")
        left.legend()
        _parts(right, found)
        return save(drawing, path)


def _parts(axis, found: Mapping[str, Any]) -> None:
    labels, sizes, colours = [], [], []
    for index, (name, one) in enumerate(found.items()):
        for part, error in one.errors.items():
            labels.append(f"{name}: {part}")
            sizes.append(error.double().square().mean().sqrt().item() / (math.log(2) * one.size))
            colours.append(colour(index))
    axis.barh(labels, sizes, color=colours)
    axis.invert_yaxis()
    axis.set(xlabel="standard error of an event, bits per dimension", title="What the errors are made of")
