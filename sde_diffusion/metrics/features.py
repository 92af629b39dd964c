"""The check of every metric's arguments."""

from __future__ import annotations

import torch
from torch import Tensor


def feature_rows(x: Tensor, least: int = 1) -> Tensor:
    """x itself in float64, when it is a finite floating tensor (N, D) of at least `least` rows; else one sentence.

    Raises TypeError for what is no floating tensor, ValueError for the rest. Flatten pictures, or better take a
    classifier's features, before measuring.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"a metric compares floating-point tensors (N, D), got {kind}")
    if x.ndim != 2 or x.shape[0] < least or x.shape[1] < 1:
        raise ValueError(f"a metric compares tensors (N, D) with N at least {least}, got shape {tuple(x.shape)}")
    if not bool(torch.isfinite(x).all()):
        bad = int((~torch.isfinite(x)).any(dim=1).sum())
        raise ValueError(f"a metric compares finite numbers, but {bad} of {len(x)} rows hold NaN or infinity")
    return x.double()


def feature_pair(x: Tensor, y: Tensor, least: int = 1) -> tuple[Tensor, Tensor]:
    """Both in float64 on x's device, when they are rows of the same width; ValueError or TypeError otherwise."""
    x, y = feature_rows(x, least), feature_rows(y, least)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"both samples have the same number of features, got {x.shape[1]} and {y.shape[1]}")
    return x, y.to(x.device)
