"""The held-out loss against the length of the average."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sde_diffusion.report.style import colour, figure, save


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
