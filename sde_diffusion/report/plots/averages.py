"""Averages of the weights: their profile over the steps, and the held-out loss against their length.

The held-out loss against the length of the average.

How an average weighs the steps of a training run: what was asked for, and what the fit from snapshots gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, save


def length_plot(
    lengths: Sequence[float], losses: Sequence[float], errors: Sequence[float], usual: float, path: Path
) -> Path:
    """Write the losses with the standard errors of their differences from the best one, and that of the usual average."""
    with figure(6.4, 3.8) as drawing:
        axis = drawing.subplots()
        axis.errorbar(lengths, losses, errors, color=colour(0), marker="o", capsize=3, label="power function")
        axis.axhline(usual, color=colour(1), linestyle="--", label="decay with warm-up, last checkpoint")
        axis.set(xlabel="relative length sigma_rel", ylabel="held-out loss", title="Averages of different lengths")
        axis.legend()
        return save(drawing, path)


def profile_plot(
    tau: np.ndarray, wanted: np.ndarray, fitted: np.ndarray, snapshots: Sequence[int], title: str, path: Path
) -> Path:
    """Write two panels over the steps `tau` (N,): the profiles (N,) in weight a step, and the fitted less the wanted one.

    Ticks below mark the snapshots.
    """
    with figure(7.2, 5.0) as drawing:
        drawing.suptitle(title, fontweight="bold")
        upper, lower = drawing.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        upper.plot(tau, wanted, color=colour(0), linewidth=3, alpha=0.55, label="asked for")
        upper.plot(tau, fitted, color=colour(1), linestyle="--", label="fitted")
        upper.set(ylabel="weight of a step")
        upper.legend()
        lower.plot(tau, fitted - wanted, color=colour(1))
        lower.plot(snapshots, [0.0] * len(snapshots), "|", color=colour(6), markersize=9, label="snapshots")
        lower.set(xlabel="training step", ylabel="fitted - asked for")
        lower.legend()
        return save(drawing, path)
