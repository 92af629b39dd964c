"""The loss against the step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.style import colour, figure, save


def training_curve(steps: Sequence[int], losses: Sequence[float], path: Path) -> Path:
    """Write the losses (as points) and their running mean over a twentieth of the run (as a line), on a log axis."""
    x, y = np.asarray(steps), np.asarray(losses, dtype=float)
    with figure(7.2, 3.4) as drawing:
        axis = drawing.subplots()
        axis.plot(x, y, ".", markersize=2.5, color=colour(5), alpha=0.6, label="each record")
        axis.plot(x, running_mean(y, max(1, len(y) // 20)), color=colour(0), label="running mean")
        axis.set(xlabel="training step", ylabel="loss (weighted mean square error)", title="Training", yscale="log")
        axis.legend()
        return save(drawing, path)


def running_mean(values: np.ndarray, width: int) -> np.ndarray:
    """The mean of each value and the `width` - 1 before it (of as many as there are, at the start)."""
    sums = np.cumsum(np.concatenate([[0.0], values]))
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - width, 0)
    return (sums[stop] - sums[start]) / (stop - start)
