"""Generated images above their nearest training images, and the distances beside those of held-out images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import Tensor

from sde_diffusion.report.plots.images import tiled, zoom_for
from sde_diffusion.report.plots.style import colour, figure, save


def neighbours(
    generated: Tensor, closest: Tensor, distances: Mapping[str, Tensor], path: Path, columns: int = 16
) -> Path:
    """Write `columns` of the generated images (N, C, H, W), the training image closest to each, and the histograms.

    `distances` maps a set's name to the distances (M,) of its images to their nearest training images, the real set
    (in black) first.
    """
    with figure(9.6, 4.6) as drawing:
        top, bottom = drawing.subplots(2, 1, height_ratios=[1, 1.7])
        pairs = _pairs(generated[:columns], closest[:columns])
        top.imshow(pairs, interpolation="nearest")
        top.set_title("Generated (above) and the nearest training images (below)", loc="left")
        top.set_axis_off()
        _histograms(bottom, distances)
        return save(drawing, path)


def _pairs(generated: Tensor, closest: Tensor) -> np.ndarray:
    zoom = zoom_for(generated.shape[-1], 32)
    rows = [tiled(x, len(x), zoom) for x in (generated, closest)]
    gap = np.full((zoom * 2, rows[0].shape[1], 3), 255, dtype=np.uint8)
    return np.concatenate([rows[0], gap, rows[1]])


def _histograms(axis, distances: Mapping[str, Tensor]) -> None:
    stop = max(float(values.max()) for values in distances.values()) * 1.02
    for index, (name, values) in enumerate(distances.items()):
        axis.hist(
            values.cpu().numpy(), np.linspace(0, stop, 50), density=True, histtype="step", linewidth=1.8,
            color=colour(index - 1) if index else "#000000", label=f"{name} (median {float(values.median()):.2f})",
        )  # fmt: skip
    axis.set(xlabel="Euclidean distance to the nearest training image", ylabel="density", xlim=(0, stop))
    axis.set_title("Distance to the training set", loc="left")
    axis.legend(loc="upper left")
