"""Averages of the weights (EMA): how one weighs the training steps, and the held-out loss against its length."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, save


def length_plot(
    lengths: Sequence[float], losses: Sequence[float], errors: Sequence[float], checkpoint: float, path: Path
) -> Path:
    """Write the held-out loss against the relative length, with the standard errors of differences from the best one.

    `checkpoint` is the loss of the average in the last checkpoint, a dashed line.
    """
    with figure(6.4, 3.8) as drawing:
        axis = drawing.subplots()
        axis.errorbar(lengths, losses, errors, color=colour(0), marker="o", capsize=3, label="post-hoc EMA")
        axis.axhline(checkpoint, color=colour(1), linestyle="--", label="EMA of the last checkpoint")
        axis.set(xlabel="relative length sigma_rel", ylabel="held-out loss", title="Held-out loss by EMA length")
        axis.legend()
        return save(drawing, path)


def profile_plot(
    tau: np.ndarray, wanted: np.ndarray, fitted: np.ndarray, snapshots: Sequence[int], title: str, path: Path
) -> Path:
    """Write two panels over the steps `tau` (N,): the profiles (N,) in weight per step, and fitted minus wanted.

    Ticks in the lower panel mark the snapshots.
    """
    with figure(7.2, 5.0) as drawing:
        drawing.suptitle(title, fontweight="bold")
        upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        upper.plot(tau, wanted, color=colour(0), linewidth=3, alpha=0.55, label="wanted")
        upper.plot(tau, fitted, color=colour(1), linestyle="--", label="fitted from snapshots")
        upper.set(ylabel="weight of a step")
        upper.legend()
        lower.plot(tau, fitted - wanted, color=colour(1))
        lower.plot(snapshots, [0.0] * len(snapshots), "|", color=colour(6), markersize=9, label="snapshots")
        lower.set(xlabel="training step", ylabel="fitted - wanted")
        lower.legend()
        return save(drawing, path)
