"""A warning for data that do not suit the model: far from zero, or of another scale than the model was made for."""

from __future__ import annotations

import math
import warnings

from torch import nn

from sde_diffusion.data.tables import Table

ROWS, NUMBERS = 4096, 2**22
"""Samples that are looked at, evenly spaced, and about how many numbers these have at most."""

FACTOR = 2.5
"""By how much the standard deviation may differ from the model's `data_std`: data of unit variance fit EDM's 0.5."""


def warn_of_scale(denoiser: nn.Module, table: Table) -> None:
    """One warning where |mean| of the data exceeds their standard deviation, or that is not near the model's `data_std`."""
    most = min(ROWS, max(2, NUMBERS // max(1, math.prod(table.event_shape))))
    x = table.rows(table.spaced(most)).x
    if not x.is_floating_point():
        return
    mean, std = float(x.double().mean()), float(x.double().std(correction=0))
    expected = getattr(getattr(denoiser, "parameterization", None), "data_std", None)
    if not (math.isfinite(mean) and std > 0):
        return
    if abs(mean) > std:
        _warn(f"the data have mean {mean:.3g} and standard deviation {std:.3g}; subtract the mean and divide, or take "
              "DiffusionModel.for_data, which does")  # fmt: skip
    elif isinstance(expected, (int, float)) and not 1 / FACTOR <= std / expected <= FACTOR:
        _warn(f"the data have standard deviation {std:.3g} and the model was made for data_std={expected:.3g}; give it "
              f"data_std={std:.3g}, or scale the data")  # fmt: skip


def _warn(sentence: str) -> None:
    warnings.warn(sentence, stacklevel=4)
