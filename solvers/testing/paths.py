"""Wiener paths for exact measurements: moments by impulses instead of samples, and paths that coarse grids share."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from solvers.path_times import Time
from solvers.wiener import AreaPath, WienerPath


class Impulses(AreaPath):
    """A batch of paths, one impulse each: sample k moves by sqrt|h| in half-step k, of length h, and does not move in all
    others.

    As many samples again as there are steps have an impulse in the Levy area of one step, of its standard deviation
    sqrt(|h|/12). A method on a linear equation is linear in the increments, so the sum over k of (response to impulse
    k)^2 is the exact variance of its result: a weak order is measured without a single random number. The last sample
    gets no impulse at all: its result is the mean.
    """

    def __init__(self, grid: Tensor):
        self.steps = len(grid) - 1
        self.halves = [*torch.stack([grid[:-1], (grid[:-1] + grid[1:]) / 2], 1).flatten().tolist(), grid[-1].item()]

    @property
    def batch(self) -> int:
        """Samples: an increment for each half-step, an area for each step, and the mean."""
        return 3 * self.steps + 1

    def increment(self, t, s):
        """W(s) - W(t), (B, 1)."""
        cells = range(self._at(t), self._at(s))
        return self._impulse([(k, abs(self.halves[k + 1] - self.halves[k]) ** 0.5) for k in cells])

    def increment_and_area(self, t, s):
        """The increment and the space-time Levy area, (B, 1) each."""
        area = self._impulse([(2 * self.steps + self._at(t) // 2, (abs(s - t) / 12) ** 0.5)])
        return self.increment(t, s), area

    def _at(self, t: Time) -> int:
        """The number of a half-step's end; KeyError for a time that is none."""
        return self._places[round(float(t), 12)]

    @cached_property
    def _places(self) -> dict[float, int]:
        return {round(t, 12): k for k, t in enumerate(self.halves)}

    def _impulse(self, sizes):
        impulse = torch.zeros(self.batch, 1, dtype=torch.float64)
        for k, size in sizes:
            impulse[k] = size
        return impulse

    def channel(self, k):
        """Raises ValueError: there is one."""
        raise ValueError("impulses have one channel")

    def moments(self, result: Tensor) -> tuple[float, float]:
        """Mean and variance of the method's result, from the final states of the batch."""
        mean = result[-1].item()
        return mean, float(((result[:-1] - mean) ** 2).sum())


class FineWalk(AreaPath):
    """Wiener paths on a fine grid, with Levy areas by the trapezoidal rule: coarse grids of cells/2^k steps share them."""

    def __init__(self, samples: int, start: float, stop: float, cells: int, seed: int, event: tuple[int, ...] = (1,)):
        self.grid = torch.linspace(start, stop, cells + 1, dtype=torch.float64)
        generator = torch.Generator().manual_seed(seed)
        dw = (
            torch.randn(cells, samples, *event, generator=generator, dtype=torch.float64)
            * abs((stop - start) / cells) ** 0.5
        )
        self.walk = torch.cat([torch.zeros_like(dw[:1]), dw.cumsum(0)])

    def _at(self, t: Time) -> int:
        return round((float(t) - self.grid[0].item()) / (self.grid[1] - self.grid[0]).item())

    def increment(self, t, s):
        """W(s) - W(t), (B, 1)."""
        return self.walk[self._at(s)] - self.walk[self._at(t)]

    def increment_and_area(self, t, s):
        """The increment and the space-time Levy area, (B, 1) each."""
        piece = self.walk[self._at(t) : self._at(s) + 1]
        mean = (piece.sum(0) - (piece[0] + piece[-1]) / 2) / (len(piece) - 1)
        return piece[-1] - piece[0], mean - (piece[0] + piece[-1]) / 2

    def channel(self, k):
        """Raises ValueError: there is one."""
        raise ValueError("this path has one channel")


class Mirrored(AreaPath):
    """The paths of another, then their mirror images: what is odd in the noise cancels in the mean over the batch."""

    def __init__(self, path: AreaPath):
        self.path = path

    def increment(self, t, s):
        """W(s) - W(t), (2 B, *E)."""
        dw = self.path.increment(t, s)
        return torch.cat([dw, -dw])

    def increment_and_area(self, t, s):
        """The increment and the space-time Levy area, (2 B, *E) each."""
        dw, area = self.path.increment_and_area(t, s)
        return torch.cat([dw, -dw]), torch.cat([area, -area])

    def channel(self, k):
        """The path's own, mirrored."""
        channel = self.path.channel(k)
        assert isinstance(channel, AreaPath)
        return Mirrored(channel)


class ScaledPath(AreaPath):
    """A path times a number: what a method gets if it multiplies its noise by it."""

    def __init__(self, path: WienerPath, factor: float):
        self.path, self.factor = path, factor

    def increment(self, t, s):
        """W(s) - W(t), (B, *E)."""
        return self.factor * self.path.increment(t, s)

    def increment_and_area(self, t, s):
        """The increment and the space-time Levy area, (B, *E) each."""
        assert isinstance(self.path, AreaPath)
        dw, area = self.path.increment_and_area(t, s)
        return self.factor * dw, self.factor * area

    def channel(self, k):
        """The path's own, scaled."""
        return ScaledPath(self.path.channel(k), self.factor)
