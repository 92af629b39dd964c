"""Times of a noise path as keys and as scales: the bits of a time, the key of an interval, exact square roots."""

from __future__ import annotations

import math
import struct

import numpy as np
import torch
from torch import Tensor

from solvers.random import Word, digest, mix

Time = float | Tensor
"""A float, or a float64 tensor of shape (B,): one time for each sample."""


def interval_key(t: Time, s: Time) -> Word:
    """A key for the unordered pair {t, s}."""
    if isinstance(t, Tensor) and isinstance(s, Tensor):
        return mix(digest(bits(torch.minimum(t, s))), bits(torch.maximum(t, s)))
    return mix(digest(bits(min(t, s))), bits(max(t, s)))


def bits(t: Time) -> Word:
    """The 64 bits of a float64 time as an integer; 0.0 and -0.0 are one time."""
    if isinstance(t, Tensor):
        return (t + 0.0).view(torch.int64)
    return struct.unpack("<q", struct.pack("<d", t + 0.0))[0]


def root(variance: Time) -> Time:
    """The square root, correctly rounded, so that floats and tensors agree: torch's may be one unit off on a CPU."""
    if not isinstance(variance, Tensor):
        return math.sqrt(variance)
    return torch.from_numpy(np.sqrt(variance.numpy())) if variance.device.type == "cpu" else variance.sqrt()
