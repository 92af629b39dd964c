"""How an average weighs the steps of a training run: what was asked for, and what the fit from snapshots gives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sde_diffusion.report.style import colour, figure, save


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
