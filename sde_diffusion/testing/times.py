"""The times at which a process is checked, found without its own inverse."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE, LinearSDE
from solvers.grids import Spacing, fixed

EARLIEST = 1e-4
"""The first time that is checked, in units of the horizon, where a process begins at t_min = 0."""


def first_time(sde: SDE) -> float:
    """t_min, or a little above zero."""
    return max(sde.t_min, EARLIEST * sde.horizon)


def inner_times(sde: SDE, count: int) -> Tensor:
    """Times strictly inside (t_min, horizon), float64 (count,): half of them at equal ratios, half at equal steps."""
    first, last = first_time(sde), sde.horizon
    u = (torch.arange(count, dtype=torch.float64) + 0.618) / count
    ratios = first * (last / first) ** u[::2]
    return torch.cat([ratios, first + (last - first) * u[1::2]]).sort().values


def log_snr_range(sde: LinearSDE, low: float, high: float) -> tuple[float, float]:
    """The part of [low, high] that the process's log-SNR runs through; all that it has where it meets neither."""
    last, first = _log_snr(sde, sde.horizon), _log_snr(sde, first_time(sde))
    both = max(low, last), min(high, first)
    return both if both[0] < both[1] else (last, first)


def time_of(sde: LinearSDE, log_snr: float) -> float:
    """The time of a log-SNR by bisection, within [t_min, horizon]: the end that is nearer where there is none."""
    low, high = first_time(sde), sde.horizon
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _log_snr(sde, middle) > log_snr else (low, middle)
    return (low + high) / 2


def _log_snr(sde: LinearSDE, t: float) -> float:
    alpha, sigma = float(sde.alpha(t)), float(sde.sigma(t))
    return (
        2 * (math.log(alpha) - math.log(sigma)) if alpha > 0 and sigma > 0 else math.copysign(math.inf, alpha - sigma)
    )


def level_grid(sde: LinearSDE, start: float, stop: float, steps: int) -> Spacing:
    """A grid of the process's time on which the log-SNR, tabled and interpolated, and the time itself change evenly.

    No step is longer than two even ones in either: a rate that jumps is met in time.
    """
    low, high = min(start, stop), max(start, stop)
    ratios = low * (high / low) ** np.linspace(0, 1, 400)
    times = np.unique(np.concatenate([ratios, np.linspace(low, high, 400)]).clip(low, high))
    levels = np.maximum.accumulate([-_log_snr(sde, float(t)) for t in times])
    reading = (levels - levels[0]) / (levels[-1] - levels[0]) + (times - low) / (high - low)
    inner = np.interp(np.linspace(0, 2, steps + 1)[1:-1], reading, times)
    grid = [low, *inner.tolist(), high]
    return fixed(grid if start < stop else grid[::-1])
