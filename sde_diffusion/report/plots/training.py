"""The training loss against the step, and beside it the loss of held-out data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, plain_log_ticks, save


def training_curve(
    steps: Sequence[int],
    losses: Sequence[float],
    path: Path,
    held_out: Sequence[tuple[int, float, float]] = (),
) -> Path:
    """Write the losses (points) and their running mean over a twentieth of the run (a line), on a log axis.

    `held_out` are steps, held-out losses of the averaged model, and their standard errors: a band of two each way.
    """
    x, y = np.asarray(steps), np.asarray(losses, dtype=float)
    with figure(7.2, 3.4) as drawing:
        axis = drawing.subplots()
        axis.plot(x, y, ".", markersize=2.5, color=colour(5), alpha=0.6, label="each record")
        axis.plot(x, running_mean(y, max(1, len(y) // 20)), color=colour(0), label="running mean")
        if held_out:
            _held_out(axis, np.asarray(held_out, dtype=float).T)
        axis.set(xlabel="training step", ylabel="loss (weighted mean square error)", title="Training", yscale="log")
        plain_log_ticks(axis)
        axis.legend()
        return save(drawing, path)


def _held_out(axis, rows: np.ndarray) -> None:
    """Steps, losses and their standard errors, (3, N)."""
    x, y, error = rows
    axis.plot(x, y, ".-", markersize=4, color=colour(1), label="held-out data, averaged model (EMA)")
    axis.fill_between(x, np.maximum(y - 2 * error, y / 10), y + 2 * error, color=colour(1), alpha=0.15, linewidth=0)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The centred mean over about `width` values: over i - h .. i + h, h = width // 2, as far as there are values.

    At the start, where losses fall fast, the window stays symmetric, so that the mean neither leads nor lags.
    """
    sums = np.cumsum(np.concatenate([[0.0], values]))
    index = np.arange(len(values))
    before = np.minimum(width // 2, index)
    after = np.minimum(before, len(values) - 1 - index)
    return (sums[index + after + 1] - sums[index - before]) / (before + after + 1)
