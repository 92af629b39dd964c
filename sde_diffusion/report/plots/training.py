"""The loss against the step, and beside it that of events which are held out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, save


def training_curve(
    steps: Sequence[int],
    losses: Sequence[float],
    path: Path,
    held_out: Sequence[tuple[int, float, float]] = (),
) -> Path:
    """Write the losses (as points) and their running mean over a twentieth of the run (as a line), on a log axis.

    `held_out` are steps, losses of the averaged model on other events, and their standard errors: a band of two each way.
    """
    x, y = np.asarray(steps), np.asarray(losses, dtype=float)
    with figure(7.2, 3.4) as drawing:
        axis = drawing.subplots()
        axis.plot(x, y, ".", markersize=2.5, color=colour(5), alpha=0.6, label="each record")
        axis.plot(x, running_mean(y, max(1, len(y) // 20)), color=colour(0), label="running mean")
        if held_out:
            _held_out(axis, np.asarray(held_out, dtype=float).T)
        axis.set(xlabel="training step", ylabel="loss (weighted mean square error)", title="Training", yscale="log")
        axis.legend()
        return save(drawing, path)


def _held_out(axis, rows: np.ndarray) -> None:
    """Steps, losses and their standard errors, (3, N)."""
    x, y, error = rows
    axis.plot(x, y, ".-", markersize=4, color=colour(1), label="held-out events, averaged model")
    axis.fill_between(x, np.maximum(y - 2 * error, y / 10), y + 2 * error, color=colour(1), alpha=0.15, linewidth=0)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each value and the `width` - 1 before it (of as many as there are, at the start)."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - width, 0)
    return (sums[stop] - sums[start]) / (stop - start)
