r"""The Fokker-Planck equation on a grid of one, two or three dimensions, by splitting.

    dp/dt = -sum over i of dJ_i/dx_i,   J_i = (b_i - d(g_i^2)/dx_i / 2) p - g_i^2/2 dp/dx_i                          (1)

Along each axis the fluxes are those of Chang & Cooper, which keep mass and positivity, and the step is implicit. The axes
take turns, first to last and back with half a step each (Strang): of second order in the step and in the cells.

References:
    Chang & Cooper, A practical difference scheme for Fokker-Planck equations, 1970,
        https://doi.org/10.1016/0021-9991(70)90001-X
    Strang, On the construction and comparison of difference schemes, 1968, https://doi.org/10.1137/0705041
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.state_dependent import StateDependentSDE

UNIT = np.array([[0.0], [1.0], [0.0]])
"""The bands of the identity."""


@dataclass(frozen=True)
class Grid:
    """Equal cells along each axis: `edges` has d tensors, of one number more than there are cells."""

    edges: tuple[Tensor, ...]

    @classmethod
    def over(cls, low: Tensor, high: Tensor, cells: int) -> Grid:
        """From low to high, (d,) each, with as many cells on every axis."""
        pairs = zip(low.tolist(), high.tolist(), strict=True)
        return cls(tuple(torch.linspace(a, b, cells + 1, dtype=torch.float64) for a, b in pairs))

    @property
    def widths(self) -> list[float]:
        """The length of a cell along each axis."""
        return [(edge[1] - edge[0]).item() for edge in self.edges]

    @property
    def centres(self) -> list[Tensor]:
        """The centres along each axis."""
        return [(edge[1:] + edge[:-1]) / 2 for edge in self.edges]

    def points(self, axis: int | None = None) -> Tensor:
        """The centres of all cells, (*cells, d), or of the inner faces across an axis."""
        lines = [
            edge[1:-1] if i == axis else centre
            for i, (edge, centre) in enumerate(zip(self.edges, self.centres, strict=True))
        ]
        return torch.stack(torch.meshgrid(*lines, indexing="ij"), -1)

    def gaussian(self, mean: float, std: float) -> np.ndarray:
        """The masses of N(mean, std^2 I)."""
        mass = np.ones(())
        for edge in self.edges:
            mass = np.multiply.outer(mass, torch.special.ndtr((edge - mean) / std).diff().numpy())
        return mass


def history(sde: SDE, grid: Grid, start: tuple[float, float], steps: int) -> Tensor:
    """The masses at times 0, h, ..., horizon from a Gaussian of mean and deviation `start`: (steps + 1, *cells)."""
    h, mass = sde.horizon / steps, grid.gaussian(*start)
    found = [mass]
    for i in range(steps):
        implicit = 1.0 if i < 2 else 0.5  # implicit first, to smooth, then trapezoidal
        for axis, share in turns(len(grid.edges)):
            mass = _sweep(mass, _generator(sde, grid, axis, (i + 0.5) * h), axis, share * h, implicit)
        found.append(mass)
    return torch.from_numpy(np.stack(found))


def turns(axes: int) -> Iterator[tuple[int, float]]:
    """The axes of a step with the share of it that each has."""
    first = [(axis, 0.5) for axis in range(axes - 1)]
    yield from [*first, (axes - 1, 1.0), *reversed(first)]


def _sweep(mass: np.ndarray, bands: np.ndarray, axis: int, h: float, implicit: float) -> np.ndarray:
    """One step of the theta scheme along an axis, all lines at once; bands above, on and below, (3, all cells)."""
    from scipy.linalg import solve_banded

    turned = np.moveaxis(mass, axis, -1)
    line = turned.reshape(-1)
    up, middle, down = bands
    moved = middle * line
    moved[:-1] += up[1:] * line[1:]
    moved[1:] += down[:-1] * line[:-1]
    solved = solve_banded((1, 1), UNIT - implicit * h * bands, line + (1 - implicit) * h * moved, check_finite=False)
    return np.moveaxis(solved.reshape(turned.shape), -1, axis)


def _generator(sde: SDE, grid: Grid, axis: int, t: float) -> np.ndarray:
    """The three bands of (1) along an axis, (3, all cells): fluxes through the inner faces, none through the outer ones.

    The lines follow each other, and no flux joins one to the next.
    """
    width, faces = grid.widths[axis], grid.points(axis)
    drift = _along(sde.drift(faces.reshape(-1, faces.shape[-1]), t), faces, axis)
    spread = half_variance(sde, faces, axis, t) / width
    if not _additive(sde):
        drift = drift - np.diff(half_variance(sde, grid.points(), axis, t), axis=-1) / width
    w = np.clip(np.nan_to_num(drift / np.maximum(spread, 1e-300)), -500, 500)
    safe = np.where(np.abs(w) < 1e-6, 1.0, w)
    share = np.where(np.abs(w) < 1e-6, 0.5 - w / 12, 1 / safe - 1 / np.expm1(safe))
    up, down = spread + (1 - share) * drift, spread - share * drift
    bands = np.zeros((3, *drift.shape[:-1], drift.shape[-1] + 1))
    bands[0, ..., 1:], bands[2, ..., :-1] = down, up
    bands[1, ..., :-1] -= up
    bands[1, ..., 1:] -= down
    return bands.reshape(3, -1) / width


def half_variance(sde: Any, points: Tensor, axis: int, t: float) -> np.ndarray:
    """g_i^2/2 at points (*cells, d), the axis turned to be the last."""
    if _additive(sde):
        return np.full(np.moveaxis(np.empty(points.shape[:-1]), axis, -1).shape, float(sde.diffusion(t)) ** 2 / 2)
    return _along(sde.diffusion(points.reshape(-1, points.shape[-1]), t) ** 2 / 2, points, axis)


def _additive(sde: SDE) -> bool:
    return not isinstance(sde, StateDependentSDE)


def _along(values: Tensor, points: Tensor, axis: int) -> np.ndarray:
    """One coordinate of values (N, d) at points (*cells, d), the axis turned to be the last."""
    return np.moveaxis(values[:, axis].reshape(points.shape[:-1]).double().numpy(), axis, -1)


class GridScore:
    """grad log p at states (B, d) and times of the grid, by central differences and linear interpolation.

    It is flat where there is no mass.
    """

    def __init__(self, grid: Grid, masses: Tensor, horizon: float) -> None:
        """`masses` is a `history`."""
        self.grid, self.horizon = grid, horizon
        self.logs = masses.clamp(min=1e-14).log()
        self.known: dict[int, Tensor] = {}

    def __call__(self, x: Tensor, t: float) -> Tensor:
        """The score, (B, d)."""
        row = round(float(t) / self.horizon * (len(self.logs) - 1))
        if row not in self.known:
            widths = [(width,) for width in self.grid.widths]
            slopes = [torch.gradient(self.logs[row], spacing=width, dim=i)[0] for i, width in enumerate(widths)]
            self.known = {row: torch.stack(slopes, -1)}
        return interpolate(self.known[row], self.grid, x)


def interpolate(values: Tensor, grid: Grid, x: Tensor) -> Tensor:
    """Values (*cells, F) at the centres, linear between them, at states (B, d): (B, F); constant beyond the centres."""
    first = torch.stack([centre[0] for centre in grid.centres])
    last = torch.tensor(values.shape[:-1], dtype=torch.float64) - 1.001
    place = ((x - first) / torch.tensor(grid.widths, dtype=torch.float64)).nan_to_num().clamp(min=0).minimum(last)
    low = place.floor().long()
    part, total = place - low, torch.zeros(len(x), values.shape[-1], dtype=torch.float64)
    for corner in itertools.product((0, 1), repeat=x.shape[1]):
        side = torch.tensor(corner)
        weight = torch.where(side.bool(), part, 1 - part).prod(1, keepdim=True)
        total += weight * values[tuple((low + side).unbind(1))]
    return total
