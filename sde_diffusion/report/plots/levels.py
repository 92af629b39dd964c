"""The error of a denoiser by noise level beside bounds in closed form; and which levels its loss comes from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sde_diffusion.report.plots.style import colour, figure, save

FAINTEST, EARLIER = 0.25, 4
"""The opacity of the first of the earlier curves, and how many of them are drawn at most."""

_BOUNDS = {
    "mean": ("constant prediction (mean)", ":"),
    "noisy": ("identity (noisy input)", "--"),
    "wiener": ("best linear denoiser", "-"),
}


def level_plot(found: Mapping[str, Any], path: Path) -> Path:
    """Write two pairs of axes for the content of loss_by_level.json (see `callbacks.levels`).

    On the left the mean square error. On the right that error times the weight of the loss, or, for a loss without one,
    over the error of the best linear denoiser.
    """
    x, wiener = np.asarray(found["log_snr"]), np.asarray(found["bounds"]["wiener"])
    with figure(10.4, 4.2) as drawing:
        drawing.set_layout_engine(None)  # a layout engine would take most of the time
        drawing.subplots_adjust(left=0.07, right=0.98, bottom=0.3, top=0.92, wspace=0.17)
        left, right = drawing.subplots(1, 2)
        _errors(left, found, x, np.ones_like(x))
        left.set(title="Error by noise level", ylabel="mean square error per coordinate", yscale="log")
        if found["weight"] is None:
            _errors(right, found, x, 1 / wiener)
            right.set(title="Error over that of the best linear denoiser", ylabel="ratio", ylim=(0, 2))
        else:
            _errors(right, found, x, np.asarray(found["weight"]))
            right.set(title="Loss by noise level", ylabel="weight times error", ylim=(0, _top(found)))
        left.minorticks_off()
        handles, labels = left.get_legend_handles_labels()
        drawing.legend(handles, labels, loc="lower center", ncols=3)
        return save(drawing, path)


def _errors(axis, found: Mapping[str, Any], x: np.ndarray, factor: np.ndarray) -> None:
    *earlier, last = found["looks"]
    for name, (words, dashes) in _BOUNDS.items():
        axis.plot(x, factor * found["bounds"][name], dashes, color="#777777", linewidth=1.2, label=words)
    chosen = earlier[-EARLIER:]
    for index, look in enumerate(chosen):
        faint = FAINTEST + (0.6 - FAINTEST) * index / max(1, len(chosen) - 1)
        axis.plot(x, factor * look["error"], color=colour(5), alpha=faint, linewidth=1.2, label=f"step {look['step']}")
    error, deviation = np.asarray(last["error"]), np.asarray(last["standard_error"])
    axis.plot(x, factor * error, color=colour(0), label=f"step {last['step']}, held-out data")
    low, high = np.maximum(error - 2 * deviation, error / 10), error + 2 * deviation
    axis.fill_between(x, factor * low, factor * high, color=colour(0), alpha=0.15, linewidth=0)
    ends = [*found["bounds"]["wiener"], *last["error"]]
    axis.set(xlabel="log-SNR (noise on the left, data on the right)", ylim=(min(ends) / 2, 4 * max(ends)))


def _top(found: Mapping[str, Any]) -> float:
    """The upper end of the weighted axis, of the last curve and the linear bound: others may leave the picture."""
    lines = [found["bounds"]["wiener"], found["looks"][-1]["error"]]
    return 1.3 * max(float(np.max(np.asarray(found["weight"]) * line)) for line in lines)
