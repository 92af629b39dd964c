r"""Conformal p-values: how often would an in-distribution example have a score as large as this one?

With n calibration examples that the model was not trained on, exchangeable with the one in question if it is in-distribution,

    p = (1 + #{calibration scores >= score})/(n + 1)                                                              (1)

is at most a with probability at most a, whatever the score; over many new in-distribution examples it is uniform up to the
calibration set's own chance.

References:
    Vovk, Gammerman & Shafer, Algorithmic Learning in a Random World, 2005, https://doi.org/10.1007/b106715
    Bates et al., Testing for Outliers with Conformal p-values, 2023, https://arxiv.org/abs/2104.08279
"""

from __future__ import annotations

import torch
from torch import Tensor


def p_values(scores: Tensor, calibration: Tensor) -> Tensor:
    """Equation (1) for scores (B,), larger for less likely examples, and calibration scores (N,): float64 (B,). ValueError for N = 0."""
    if calibration.ndim != 1 or not len(calibration):
        raise ValueError(f"calibration takes scores (N,) of at least one example, got shape {tuple(calibration.shape)}")
    ordered = calibration.sort().values
    below = torch.searchsorted(ordered, scores.to(ordered), right=False)
    return (1.0 + len(ordered) - below).double() / (len(ordered) + 1)
