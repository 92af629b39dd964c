r"""Simulated paths, flow and reverse SDE of a process in two or three dimensions against its Fokker-Planck equation.

The distributions are compared by the means of waves cos(k . x) and sin(k . x), k along the axes and the diagonals, at two
frequencies in units of the deviations: the equation's means are sums over a grid (`grid.history`), the samples' have a
standard error. What half as many cells and half as many steps, on the same noise, would change is allowed twice.

    forward     x_T of simulated paths, against the grid at T                                                    (1)
    flow        x_T of the probability flow from the same start, against the grid at T                           (2)
    reverse     x_0 of the reverse SDE from draws of the grid at T, against the Gaussian at 0, whose means are known (3)

References:
    Haussmann & Pardoux, Time reversal of diffusions, 1986, https://doi.org/10.1214/aop/1176992362
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from sde_diffusion.reversal.probability_flow import probability_flow
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.prior import GaussianPrior
from sde_diffusion.testing.causes import of_reversal
from sde_diffusion.testing.grid import Grid, GridScore, history
from sde_diffusion.testing.simulation import START, solver_of
from solvers.integrate import FixedGrid
from solvers.methods.heun import Heun
from solvers.testing.paths import FineWalk
from solvers.testing.report import FULL, QUICK, Cause, Finding, verdict
from solvers.testing.significance import quantile

STEPS = 100
PATHS = {QUICK: 10_000, FULL: 40_000}
CELLS = {QUICK: {2: 64, 3: 32}, FULL: {2: 128, 3: 48}}
FREQUENCIES = (0.8, 1.6)
FLOOR = 2e-3
"""What interpolation, and steps beyond the halving, may add to a mean."""

CAUSE = "drift or diffusion answer the solver otherwise than the grid: they depend on the batch, or on hidden state"


@dataclass(frozen=True)
class Waves:
    """cos(k . x) and sin(k . x) for wave vectors k (K, d)."""

    vectors: Tensor

    @classmethod
    def of(cls, deviations: Tensor) -> Waves:
        """Along the axes and the diagonals, in units of deviations (d,)."""
        d = len(deviations)
        axes = list(torch.eye(d, dtype=torch.float64))
        pairs = [
            (axes[i] + sign * axes[j]) / math.sqrt(2)
            for i, j in itertools.combinations(range(d), 2)
            for sign in (1, -1)
        ]
        return cls(torch.stack([f * k for k in axes + pairs for f in FREQUENCIES]) / deviations)

    def __call__(self, x: Tensor) -> Tensor:
        """At states (..., d): (..., 2 K)."""
        angle = x @ self.vectors.mT
        return torch.cat([angle.cos(), angle.sin()], -1)

    def gaussian(self, mean: float, deviation: float) -> Tensor:
        """The means over N(mean, deviation^2 I), (2 K,)."""
        length = torch.exp(-0.5 * deviation**2 * self.vectors.square().sum(1))
        angle = mean * self.vectors.sum(1)
        return torch.cat([length * angle.cos(), length * angle.sin()])

    def over(self, grid: Grid, mass: Tensor) -> Tensor:
        """The means over the masses of cells, (2 K,)."""
        return mass.flatten() @ self(grid.points()).flatten(0, -2)


@dataclass(frozen=True)
class Solved:
    """A process, its equation solved on a grid and, with half the steps, on one of half as many cells, and its paths.

    Attributes:
        fields: (grid, masses) of the two, the coarse one first.
        ends: x_T of paths with half of the steps and with all of them, (B, d) each.
    """

    sde: SDE
    fields: tuple[tuple[Grid, Tensor], tuple[Grid, Tensor]]
    ends: tuple[Tensor, Tensor]

    @classmethod
    def of(cls, sde: SDE, d: int, level: str) -> Solved:
        """The grid spans what the paths have reached, and a margin."""
        paths = PATHS[level]
        walk, equation = FineWalk(paths, 0.0, sde.horizon, STEPS, seed=6, event=(d,)), sde.equation(sde.drift)
        low = high = end = start(paths, d)
        for _, end in solver_of(equation, STEPS).trajectory(equation, end, 0.0, sde.horizon, walk):
            low, high = torch.minimum(low, end), torch.maximum(high, end)
        half = solver_of(equation, STEPS // 2)(equation, start(paths, d), 0.0, sde.horizon, walk)
        first, last = low.amin(0), high.amax(0)
        margin = 0.15 * (last - first)
        coarse, fine = (Grid.over(first - margin, last + margin, CELLS[level][d] // part) for part in (2, 1))
        fields = (coarse, history(sde, coarse, START, STEPS // 2)), (fine, history(sde, fine, START, STEPS))
        return cls(sde, fields, (half, end))

    def at_horizon(self, waves: Waves) -> tuple[Tensor, Tensor]:
        """The means of the waves by the equation, and how much the finer grid has moved them, (2 K,) each."""
        coarse, fine = (waves.over(grid, masses[-1]) for grid, masses in self.fields)
        return fine, (fine - coarse).abs()

    def near(self, x: Tensor) -> Tensor:
        """States (B, d), those that are a grid's length away from the grid as NaN: beyond its edge there is no score."""
        first, last = (torch.stack([edge[i] for edge in self.fields[1][0].edges]) for i in (0, -1))
        away = torch.maximum(first - x, x - last) > last - first
        return x.masked_fill(away.any(1, keepdim=True), math.nan)

    def scores(self) -> Iterator[tuple[GridScore, int]]:
        """The score of each grid, with its number of steps."""
        for grid, masses in self.fields:
            yield GridScore(grid, masses, self.sde.horizon), len(masses) - 1


def start(paths: int, d: int) -> Tensor:
    """Draws from N(mean, deviation^2 I), (paths, d)."""
    noise = torch.randn(paths, d, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return START[0] + START[1] * noise


def laws(sde: SDE, d: int, level: str) -> Iterator[Finding]:
    """Statements (1) to (3)."""
    solved = Solved.of(sde, d, level)
    waves, first = Waves.of(solved.ends[1].std(0)), Waves.of(torch.full((d,), START[1], dtype=torch.float64))
    exact, rough = solved.at_horizon(waves)
    known = first.gaussian(*START)
    there, back = Statement(waves, exact, rough), Statement(first, known, torch.zeros_like(known))
    yield there.finding("simulated law solves the Fokker-Planck equation", solved.ends, CAUSE)
    for name, run, statement in (
        ("probability flow keeps the law", _flow, there),
        ("reverse SDE returns the law", _back, back),
    ):
        yield statement.finding(name, run(solved, sde), partial(_why, solved, run, statement))


def _flow(solved: Solved, sde: SDE) -> tuple[Tensor, Tensor]:
    """The ends with half of the cells and steps, and with all."""
    n, d = solved.ends[1].shape
    ends = []
    for score, steps in solved.scores():
        flow = probability_flow(sde, score, GaussianPrior(0.0, 1.0)).equation
        ends.append(solved.near(FixedGrid(Heun(), steps)(flow, start(n, d), 0.0, sde.horizon)))
    return ends[0], ends[1]


def _back(solved: Solved, sde: SDE) -> tuple[Tensor, Tensor]:
    """The ends with half of the cells and steps, and with all, from the same draws and on the same noise."""
    (grid, masses), (n, d) = solved.fields[1], solved.ends[1].shape
    first = draws(grid, masses[-1], n)
    walk, ends = FineWalk(n, sde.horizon, 0.0, STEPS, seed=8, event=(d,)), []
    for score, steps in solved.scores():
        back = reverse_sde(sde, score, prior=GaussianPrior(0.0, 1.0)).equation
        ends.append(solved.near(solver_of(back, steps)(back, first, sde.horizon, 0.0, walk)))
    return ends[0], ends[1]


def _why(solved: Solved, run: Callable[[Solved, SDE], tuple[Tensor, Tensor]], statement: Statement) -> str:
    return of_reversal(solved.sde, lambda other: statement.worst(run(solved, other))[0], 1.0)


def draws(grid: Grid, mass: Tensor, n: int) -> Tensor:
    """Stratified draws from the masses of cells, even within a cell, (n, d)."""
    generator = torch.Generator().manual_seed(7)
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    ends = mass.flatten().cumsum(0)
    cell = torch.searchsorted(ends / ends[-1], u).clamp(max=len(ends) - 1)
    centre = grid.points().flatten(0, -2)[cell]
    jitter = torch.rand(centre.shape, generator=generator, dtype=torch.float64) - 0.5
    return centre + jitter * torch.tensor(grid.widths, dtype=torch.float64)


@dataclass(frozen=True)
class Statement:
    """What the means of waves should be, and what they may be off by beside the standard errors, (2 K,) each."""

    waves: Waves
    exact: Tensor
    rough: Tensor

    def gaps(self, ends: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The gaps of the means over the second of the ends, and what is allowed, (2 K,) each.

        A path that has left for infinity counts as the worst that it may be; gaps are infinite where a tenth has.
        """
        kept = torch.stack([torch.isfinite(end).all(1) for end in ends]).all(0)
        lost = 1 - kept.double().mean().item()
        if lost > 0.1:
            return torch.full_like(self.exact, math.inf), torch.full_like(self.exact, FLOOR)
        half, whole = (self.waves(end[kept]) for end in ends)
        errors = whole.std(0) / math.sqrt(len(whole))
        moved = (half - whole).mean(0).abs()
        allowed = quantile(3 * len(errors)) * errors + 2 * (self.rough + moved + lost) + FLOOR
        return (whole.mean(0) - self.exact).abs(), allowed

    def worst(self, ends: tuple[Tensor, Tensor]) -> tuple[float, int]:
        """The gap that is furthest off, in units of what is allowed for it, and which it is."""
        gaps, allowed = self.gaps(ends)
        shares = (gaps / allowed).nan_to_num(nan=math.inf)
        return shares.max().item(), int(shares.argmax())

    def finding(self, name: str, ends: tuple[Tensor, Tensor], cause: Cause) -> Finding:
        """On the worst of them."""
        (gaps, allowed), (share, worst) = self.gaps(ends), self.worst(ends)
        vector = [round(v, 3) for v in self.waves.vectors[worst % len(self.waves.vectors)].tolist()]
        kind, seen = "cos" if worst < len(self.waves.vectors) else "sin", self.waves(ends[1]).nanmean(0)[worst]
        return verdict(
            name,
            gaps[worst].item() if math.isfinite(share) else math.inf,
            allowed[worst].item(),
            example=f"E {kind}(k . x), k = {vector}: {seen:.4f}, by the equation {self.exact[worst]:.4f}",
            cause=cause,
            note=f"means of {len(gaps)} waves over {len(ends[1])} paths in {len(vector)} dimensions, "
            f"allowed {allowed.min():.2g} to {allowed.max():.2g}; twice that is seen",
            read="sde_diffusion/testing/waves.py",
        )
