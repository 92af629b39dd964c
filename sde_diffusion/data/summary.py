"""What a data set holds, in a few lines that are read before a training, and as plain data that are kept beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from sde_diffusion.data.base import SPLITS, DataSource, Rows
from sde_diffusion.data.tables import rows_at_a_time

SHOWN = 12
"""Classes and columns that are written out in the lines."""


def summary_of(source: DataSource) -> dict[str, Any]:
    """Samples of each split, their shape and range, the samples of each class, names of columns, and the source's own summary;
    the ranges of the conditions where there are any.

    The range is that of the numbers as a model gets them, of each column where the columns have names. Range and classes are
    left out for a source of many `files`, which are read when they are needed, unless it counts its classes by itself.
    """
    facts = dict(source.summary())
    of_files = "classes" in facts or hasattr(source, "files")
    ranges, counts = (None, facts.get("classes")) if of_files else _measured(source)
    if ranges is not None and source.column_names is None:
        ranges = [min(low for low, _ in ranges), max(high for _, high in ranges)]
    conditions = {} if source.condition_names is None else {"conditions": _condition_ranges(source)}
    return conditions | {
        "samples": facts.pop("samples", None) or {split: source.size(split) for split in SPLITS},
        "shape": list(source.event_shape),
        "levels": source.levels,
        "range": ranges,
        "columns": list(source.column_names or ()) or None,
        "classes": counts,
        "files": facts,
    }


def lines_of(summary: dict[str, Any]) -> list[str]:
    """The summary as lines of text."""
    shape = " x ".join(map(str, summary["shape"]))
    samples = summary["samples"]
    lines = [f"data: {samples['train']:,} samples of shape {shape} to train on, {samples['held_out']:,} held out"]
    if summary["columns"] is not None:
        pairs = zip(summary["columns"], summary["range"], strict=True)
        lines.append("  columns " + _listed([f"{name} ({low:.4g} to {high:.4g})" for name, (low, high) in pairs]))
    elif summary["range"] is not None:
        low, high = summary["range"]
        lines.append(f"  numbers from {low:.4g} to {high:.4g}{_levels(summary['levels'])}")
    if "conditions" in summary:
        spans = {name: span and f" ({span[0]:.4g} to {span[1]:.4g})" for name, span in summary["conditions"].items()}
        ranges = [f"{name}{words or ''}" for name, words in spans.items()]
        lines.append("  conditions " + _listed(ranges))
    if summary["classes"] is not None:
        counts = [f"{name} ({count:,})" for name, count in summary["classes"].items()]
        lines.append(f"  {len(counts)} classes: " + _listed(counts))
    return lines + [f"  {line}" for line in _about_files(summary["files"])]


def _about_files(facts: dict[str, Any]) -> list[str]:
    """A line for each count of files by what they are, and the notes."""
    counted = {
        name: counts for name, counts in facts.items() if isinstance(counts, dict) and name != "classes" and counts
    }
    lines = [
        f"{name.replace('_', ' ')}: " + _listed([f"{count:,} {what}" for what, count in counts.items()])
        for name, counts in counted.items()
    ]
    return lines + list(facts.get("notes", ()))


def _levels(levels: int | None) -> str:
    return "" if levels is None else f", quantised to {levels} levels"


def _listed(words: list[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more


def _condition_ranges(source: DataSource) -> dict[str, list[float] | None]:
    """[lowest, highest] of each number of the conditions, by its name; None for texts and classes."""
    found = [source.condition_rows(torch.arange(source.size(split)), split) for split in SPLITS]
    rows = torch.cat([part for part in found if part is not None])
    ranges = torch.stack([rows.amin(0), rows.amax(0)], dim=1).tolist()
    encoded = {one for name, encoder in source.condition_encoders.items() for one in encoder.columns(name)}
    found = dict(zip(source.condition_names or (), ranges, strict=True))
    return {name: span for name, span in found.items() if name not in encoded} | dict.fromkeys(
        source.condition_encoders
    )


def _measured(source: DataSource) -> tuple[list[list[float]], dict[str, int] | None]:
    """[lowest, highest] of each number along the first axis of a sample, and the samples of each class."""
    lows, highs, counts = [], [], None if source.classes is None else torch.zeros(source.classes, dtype=torch.int64)
    for x, labels in _chunks(source):
        along_first = x.flatten(2) if x.ndim > 2 else x[..., None]
        lows.append(along_first.amin((0, 2)))
        highs.append(along_first.amax((0, 2)))
        if counts is not None and labels is not None:
            counts += torch.bincount(labels, minlength=len(counts))
    ranges = torch.stack([torch.stack(lows).amin(0), torch.stack(highs).amax(0)], dim=1)
    if counts is None:
        return ranges.tolist(), None
    return ranges.tolist(), dict(zip(source.class_names or (), counts.tolist(), strict=True))


def _chunks(source: DataSource) -> Iterator[Rows]:
    for split in SPLITS:
        for rows in torch.arange(source.size(split)).split(rows_at_a_time(source.event_shape)):
            if len(rows):
                yield source.batch(rows, split)
