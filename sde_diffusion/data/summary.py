"""What a data set holds, in a few lines that are read before a training, and as plain data that are kept beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from sde_diffusion.data.base import SPLITS, DataSource, Rows

CHUNK = 1024
"""Samples that are read at a time."""

SHOWN = 12
"""Classes and columns that are written out in the lines."""


def summary_of(source: DataSource) -> dict[str, Any]:
    """Samples of each split, their shape and range, the samples of each class, names of columns, and notes.

    The range is that of the numbers as a model gets them; of each column where the columns have names.
    """
    ranges, counts = _measured(source)
    by_column = source.column_names is not None
    return {
        "samples": {split: source.size(split) for split in SPLITS},
        "shape": list(source.event_shape),
        "levels": source.levels,
        "range": ranges if by_column else [min(low for low, _ in ranges), max(high for _, high in ranges)],
        "columns": list(source.column_names or ()) or None,
        "classes": None if counts is None else dict(zip(source.class_names or (), counts, strict=True)),
        "notes": list(source.notes),
    }


def lines_of(summary: dict[str, Any]) -> list[str]:
    """The summary as lines of text."""
    shape = " x ".join(map(str, summary["shape"]))
    samples = summary["samples"]
    lines = [f"data: {samples['train']:,} samples of shape {shape} to train on, {samples['held_out']:,} held out"]
    if summary["columns"] is None:
        low, high = summary["range"]
        lines.append(f"  numbers from {low:.4g} to {high:.4g}{_levels(summary['levels'])}")
    else:
        pairs = zip(summary["columns"], summary["range"], strict=True)
        lines.append("  columns " + _listed([f"{name} ({low:.4g} to {high:.4g})" for name, (low, high) in pairs]))
    if summary["classes"] is not None:
        counts = [f"{name} ({count:,})" for name, count in summary["classes"].items()]
        lines.append(f"  {len(counts)} classes: " + _listed(counts))
    return lines + [f"  {note}" for note in summary["notes"]]


def _levels(levels: int | None) -> str:
    return "" if levels is None else f", quantised to {levels} levels"


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _measured(source: DataSource) -> tuple[list[list[float]], list[int] | None]:
    """[lowest, highest] of each number along the first axis of a sample, and the samples of each class."""
    lows, highs, counts = [], [], None if source.classes is None else torch.zeros(source.classes, dtype=torch.int64)
    for x, labels in _chunks(source):
        along_first = x.flatten(2) if x.ndim > 2 else x[..., None]
        lows.append(along_first.amin((0, 2)))
        highs.append(along_first.amax((0, 2)))
        if counts is not None and labels is not None:
            counts += torch.bincount(labels, minlength=len(counts))
    ranges = torch.stack([torch.stack(lows).amin(0), torch.stack(highs).amax(0)], dim=1)
    return ranges.tolist(), None if counts is None else counts.tolist()


def _chunks(source: DataSource) -> Iterator[Rows]:
    for split in SPLITS:
        for rows in torch.arange(source.size(split)).split(CHUNK):
            if len(rows):
                yield source.batch(rows, split)
