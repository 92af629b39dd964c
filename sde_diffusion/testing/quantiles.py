r"""Flow and reverse SDE of a process without closed forms, on the line, by the score of its Fokker-Planck equation.

On the line the probability flow must carry the quantiles of p_0 to those of p_t, which is tested without random numbers
(1). The reverse SDE is run from stratified draws of p_T, and must end on p_0 by its distribution function (2). Both are
the library's own reversals of the process, with the score from the grid.

References:
    Anderson, Reverse-time diffusion equation models, 1982, https://doi.org/10.1016/0304-4149(82)90051-5
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sde_diffusion.reversal.probability_flow import probability_flow
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.prior import GaussianPrior
from sde_diffusion.testing.causes import of_reversal
from sde_diffusion.testing.fokker_planck import GRID_ERROR, distributions
from sde_diffusion.testing.grid import Grid, GridScore, history
from sde_diffusion.testing.simulation import START, solver_of
from solvers.integrate import FixedGrid
from solvers.methods.heun import Heun
from solvers.testing.report import FULL, Finding, verdict
from solvers.testing.significance import band
from solvers.wiener import FreshIncrements

CELLS, STEPS = 800, 400
PATHS = {"quick": 5_000, FULL: 50_000}
SCOUTS = 500
"""Paths that give the range of the distribution."""

MARGIN = 3 * START[1]
"""How much further the grid reaches."""


def reversals(sde: SDE, level: str) -> Iterator[Finding]:
    """Statements (1) and (2)."""
    seen = distributions(sde, SCOUTS)[0]
    edges = torch.linspace(seen[0].item() - MARGIN, seen[-1].item() + MARGIN, CELLS + 1, dtype=torch.float64)
    grid = Grid((edges,))
    masses = history(sde, grid, START, STEPS)
    score = GridScore(grid, masses, sde.horizon)
    prior = GaussianPrior(0.0, 1.0)  # not drawn from: both walks start from p_T's own quantiles
    ends = masses[-1].cumsum(0)
    yield _flow(sde, score, prior, edges, ends)
    yield _back(sde, score, prior, edges, ends, PATHS[level])


def _cdf(x: Tensor, edges: Tensor, cumulative: Tensor) -> Tensor:
    """The distribution function of cell masses at x, linear within a cell."""
    place = ((x - edges[0]) / (edges[1] - edges[0])).clamp(0, len(edges) - 1.001)
    low = place.nan_to_num().floor().long()
    whole = torch.cat([torch.zeros(1, dtype=torch.float64), cumulative])
    return torch.lerp(whole[low], whole[low + 1], place - low)


def _flow(sde: SDE, score: Callable, prior: GaussianPrior, edges: Tensor, ends: Tensor) -> Finding:
    u = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)[:, None]

    def reached(sde: SDE) -> Tensor:
        x = START[0] + START[1] * torch.special.ndtri(u)
        flow = probability_flow(sde, score, prior).equation
        return _cdf(FixedGrid(Heun(), STEPS)(flow, x, 0.0, sde.horizon), edges, ends)

    seen = reached(sde)
    gap = (seen - u).abs()
    worst = int(gap.argmax())
    return verdict(
        "probability flow keeps the law",
        gap.max().item(),
        2 * GRID_ERROR,
        example=f"the quantile {u[worst].item():.2f} of p_0 becomes {seen[worst].item():.3f} of p_T",
        cause=lambda: of_reversal(sde, lambda other: (reached(other) - u).abs().max().item(), 2 * GRID_ERROR),
        read="sde_diffusion/reversal/probability_flow.py",
    )


def _back(sde: SDE, score: Callable, prior: GaussianPrior, edges: Tensor, ends: Tensor, n: int) -> Finding:
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    cell = torch.searchsorted(ends, u).clamp(max=len(ends) - 1)
    first = (edges[cell] + edges[cell + 1])[:, None] / 2

    def landed(sde: SDE) -> tuple[Tensor, Tensor]:
        path = FreshIncrements.like(first, 4, sde.horizon, 0.0)
        back = reverse_sde(sde, score, prior=prior).equation
        x = solver_of(back, STEPS)(back, first, sde.horizon, 0.0, path)[:, 0].sort().values
        return x, torch.special.ndtr((x - START[0]) / START[1])

    x, exact = landed(sde)
    gap, allowed = (exact - u).abs(), band(n, 1) + 2 * GRID_ERROR
    worst = int(gap.argmax())
    return verdict(
        "reverse SDE returns the law",
        gap[worst].item(),
        allowed,
        example=f"P(x < {x[worst]:.4g}) at t = 0: {worst / n:.4f} of the paths, {exact[worst]:.4f} of the law",
        cause=lambda: of_reversal(sde, lambda other: (landed(other)[1] - u).abs().max().item(), allowed),
        note=f"a gap of {2 * band(n, 1) + 2 * GRID_ERROR:.2g} is seen with probability above 0.9999",
        read="sde_diffusion/reversal/reverse_sde.py",
    )
