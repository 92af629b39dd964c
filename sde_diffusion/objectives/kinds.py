"""What the callables of this package return. These annotations tell the command line which kind each of them is."""

from __future__ import annotations

from typing import TypeAlias

from torch import Tensor

Losses: TypeAlias = Tensor
"""One loss for each sample, (B,): what an objective returns."""

Weights: TypeAlias = Tensor
"""One weight for each time, (B,) float64: what a weighting returns."""

Shares: TypeAlias = Tensor
"""Uniform numbers in [0, 1), (B,) float64: what spreads the times of a batch returns."""

Times: TypeAlias = Tensor
"""Times (B,) float64 in [t_min, horizon]: what a distribution of times returns."""
