"""What the tests of paths share: specs, states, times, and a distance from the normal law."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from hypothesis import strategies as st
from torch import Tensor

from solvers.area_tree import AreaTree
from solvers.torchsde_path import TorchsdePath
from solvers.wiener import FreshIncrements, KeyedIncrements, PathSpec, WienerPath
from solvers.wiener_tree import WienerTree

SEEDED = [FreshIncrements, KeyedIncrements, WienerTree, AreaTree]
KEYED = [KeyedIncrements, WienerTree, AreaTree]
PATHS = [*SEEDED, TorchsdePath]
GRID = [0.0, 0.013, 0.2, 0.21, 0.5, 0.777, 0.9999, 1.0]


def spec(batch=4, event=(3,), dtype=torch.float64, seed=0, span=(0.0, 1.0), indices=None) -> PathSpec:
    numbers = torch.arange(batch) if indices is None else torch.as_tensor(indices)
    return PathSpec(seed, numbers, event, *span, dtype)


def state(batch=4, event=(3,), dtype=torch.float64) -> Tensor:
    return torch.zeros(batch, *event, dtype=dtype)


def times(low=0.0, high=1.0):
    """Times of a span: any, its ends, and dyadic ones, where the tree has its nodes."""
    dyadic = st.builds(
        lambda k, l: low + (high - low) * (k % (2**l + 1)) / 2**l, st.integers(0, 2**20), st.integers(0, 20)
    )
    return st.one_of(st.floats(low, high), dyadic, st.just(low), st.just(high))


def values(path: WienerPath, grid: list[float]) -> Tensor:
    """W at the grid, W = 0 at its start: (N, B, *E)."""
    return torch.stack([path.increment(t, s) for t, s in pairwise(grid)]).cumsum(0)


def deviates(sample: Tensor) -> float:
    """sqrt(N) times the Kolmogorov-Smirnov distance from N(0, 1)."""
    u = torch.special.ndtr(sample.flatten().double()).sort().values
    grid = torch.arange(u.numel(), dtype=torch.float64) / u.numel()
    return float(torch.maximum((u - grid).max(), (grid + 1 / u.numel() - u).max()) * math.sqrt(u.numel()))
