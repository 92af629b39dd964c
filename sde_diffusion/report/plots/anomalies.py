"""p-values of in-distribution examples, which should be uniform, and of other data, which should be small: their shares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from sde_diffusion.report.plots.style import colour, figure, save

Columns = Mapping[str, Mapping[str, Tensor]]
"""score -> set of examples -> p-values (N,)."""


def anomaly_plot(found: Columns, path: Path, inliers: str, calibration: Mapping[str, int]) -> Path:
    """Write one pair of axes for each score: the share of p-values at most p, against p; `inliers` names the black line.

    The grey band holds the inliers' share at each p with probability 95%. Its variance is p (1 - p) (1/N + 1/n) for N
    inliers and n calibration examples; `calibration` gives n for each score.
    """
    with figure(3.6 * len(found) + 0.4, 4.6) as drawing:
        for axis, (score, sets) in zip(drawing.subplots(1, len(found), squeeze=False)[0], found.items(), strict=True):
            _band(axis, 1 / len(sets[inliers]) + 1 / calibration[score])
            for index, (name, values) in enumerate(sets.items()):
                p = np.sort(values.cpu().numpy())
                own = {"color": "black", "linewidth": 2.2} if name == inliers else {"color": colour(index)}
                shares = np.arange(1, len(p) + 1) / len(p)
                axis.step([0, *p, 1], [0, *shares, 1], where="post", label=name, **own)
            axis.set(title=score, xlabel="p", xlim=(0, 1), ylim=(0, 1.02), aspect="equal")
        drawing.axes[0].set_ylabel("share of examples with p-value at most p")
        handles, labels = drawing.axes[0].get_legend_handles_labels()
        drawing.legend(handles, labels, loc="outside lower center", ncols=6)
        return save(drawing, path)


def _band(axis, variance: float) -> None:
    p = np.linspace(0, 1, 101)
    half = 1.96 * np.sqrt(p * (1 - p) * variance)
    axis.fill_between(p, np.clip(p - half, 0, 1), np.clip(p + half, 0, 1), color="#BBBBBB", alpha=0.6, linewidth=0)
