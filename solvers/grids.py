"""Time grids: a spacing maps (start, stop, steps) to a float64 tensor of steps + 1 times, in either direction.

Spacings are plain functions, or functions that return one: `power(7)`, `through(log, exp)`, `fixed(array)`.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, equation (5): the power spacing with rho = 7.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

Spacing = Callable[[float, float, int], Tensor]


def uniform(start: float, stop: float, steps: int) -> Tensor:
    """Equal steps."""
    if steps < 1:
        raise ValueError(f"a grid needs at least one step, got {steps}; ask for steps >= 1")
    return torch.linspace(start, stop, steps + 1, dtype=torch.float64)


def through(
    forward: Callable[[float], float], backward: Callable[[float], float], spacing: Spacing = uniform
) -> Spacing:
    """The spacing applied to u = forward(t), brought back by t = backward(u); the end points are kept exactly."""

    def warped(start: float, stop: float, steps: int) -> Tensor:
        inner = spacing(forward(start), forward(stop), steps)[1:-1].tolist()
        return torch.tensor([start, *map(backward, inner), stop], dtype=torch.float64)

    return warped


def power(rho: float) -> Spacing:
    """t^(1/rho) is uniform: rho = 1 uniform, rho = 2 quadratic, rho = 7 that of Karras et al. Times must be >= 0."""
    return through(lambda t: _root(t, rho), lambda u: u**rho)


def _root(t: float, rho: float) -> float:
    if t < 0 or rho <= 0:
        raise ValueError(f"power spacing needs times >= 0 and rho > 0, got t = {t}, rho = {rho}; use uniform")
    return t ** (1 / rho)


def geometric(start: float, stop: float, steps: int) -> Tensor:
    """Equal ratios: log t is uniform. Times must be > 0."""
    if start <= 0 or stop <= 0:
        raise ValueError(f"geometric spacing needs times > 0, got {start} and {stop}; stop above zero or use power")
    return through(math.log, math.exp)(start, stop, steps)


def tapered(level: float, inner: float, outer: float) -> Spacing:
    """log(1 + (t/level)^inner)^outer is uniform. Times must be > 0.

    Far below `level` it is the power spacing of rho = 1/(inner outer), far above a power of log t: steps of nearly
    equal ratios that widen outwards. The grid that is quadratic in VP time is nearly tapered(1, 2, 1/4).
    """
    if not (level > 0 and inner > 0 and outer > 0):
        raise ValueError(
            f"tapered spacing needs level, inner and outer > 0, got {level}, {inner} and {outer}; "
            "tapered(1, 2, 0.25) is one"
        )
    return through(
        lambda t: _softplus(inner * (_log(t) - math.log(level))) ** outer,
        lambda u: level * math.exp(_inverse_softplus(u ** (1 / outer)) / inner),
    )


def by_density(times: Sequence[float], logs: Sequence[float]) -> Spacing:
    """The density of points over log t, given by its logarithm at increasing times > 0.

    Between these it is log-linear, beyond them constant; its scale does not matter. Equal logarithms are `geometric`.
    """
    if not (len(times) == len(logs) > 0 and times[0] > 0 and all(a < b for a, b in pairwise(times))):
        raise ValueError(
            f"a density needs its logarithm at increasing times > 0, got {len(logs)} numbers at the times {list(times)}; "
            "sort them and give as many of each"
        )
    pieces = _pieces([math.log(t) for t in times], logs)
    places, counts = ([piece[i] for piece in pieces[1:]] for i in (0, 3))
    return through(
        lambda t: pieces[bisect(places, _log(t))].count(math.log(t)),
        lambda u: math.exp(pieces[bisect(counts, u)].place(u)),
    )


class _Piece(NamedTuple):
    """A stretch of log t from `begin` on: log density there, its slope, and the points counted before."""

    begin: float
    log: float
    slope: float
    before: float

    def count(self, place: float) -> float:
        """The points up to a place."""
        distance = place - self.begin
        stretch = math.expm1(self.slope * distance) / self.slope if self.slope else distance
        return self.before + math.exp(self.log) * stretch

    def place(self, count: float) -> float:
        """Where so many points lie below."""
        stretch = (count - self.before) * math.exp(-self.log)
        return self.begin + (math.log1p(self.slope * stretch) / self.slope if self.slope else stretch)


def _pieces(places: Sequence[float], logs: Sequence[float]) -> list[_Piece]:
    """The constant piece below the first place, which counts backwards, those between places, and the constant one above."""
    pieces = [_Piece(places[0], logs[0], 0.0, 0.0)]
    for (a, b), (low, high) in zip(pairwise(places), pairwise(logs), strict=True):
        pieces.append(_Piece(a, low, (high - low) / (b - a), pieces[-1].count(a)))
    return [*pieces, _Piece(places[-1], logs[-1], 0.0, pieces[-1].count(places[-1]))]


def _log(t: float) -> float:
    if t <= 0:
        raise ValueError(f"a grid laid out in log t needs times > 0, got t = {t}; stop above zero or use power")
    return math.log(t)


def _softplus(a: float) -> float:
    return max(a, 0.0) + math.log1p(math.exp(-abs(a)))


def _inverse_softplus(b: float) -> float:
    return b + math.log(-math.expm1(-b))


def fixed(times: Sequence[float] | Tensor) -> Spacing:
    """The caller's own grid; the ends and the number of steps must be the grid's."""
    grid = torch.as_tensor(times, dtype=torch.float64).clone()

    def given(start: float, stop: float, steps: int) -> Tensor:
        if steps != len(grid) - 1:
            raise ValueError(f"the given grid has {len(grid) - 1} steps, {steps} were asked for; make them equal")
        if not (math.isclose(start, grid[0].item()) and math.isclose(stop, grid[-1].item(), abs_tol=1e-12)):
            raise ValueError(
                f"the given grid runs from {grid[0].item():g} to {grid[-1].item():g}, "
                f"the equation from {start:g} to {stop:g}; give a grid with these ends"
            )
        return grid

    return given


def check_grid(grid: Tensor) -> list[float]:
    """The grid as Python floats. Raises ValueError unless it is finite (its last time may be infinite) and monotone."""
    if grid.ndim != 1 or len(grid) < 2:
        raise ValueError(f"a grid is a vector of at least two times, got shape {tuple(grid.shape)}; ask for steps >= 1")
    times = grid.to(torch.float64).tolist()
    steps = [s - t for t, s in pairwise(times)]
    if not all(map(math.isfinite, times[:-1])) or math.isnan(times[-1]):
        raise ValueError("a grid's times must be finite; only the last one may be infinite")
    if not (all(h > 0 for h in steps) or all(h < 0 for h in steps)):
        raise ValueError("a grid must be strictly increasing or strictly decreasing; remove repeated times")
    return times
