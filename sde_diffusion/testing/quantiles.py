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
from sde_diffusion.testing.fokker_planck import GRID_ERROR, START, distributions, history
from solvers.grids import uniform
from solvers.integrate import FixedGrid
from solvers.methods.heun import Heun
from solvers.methods.stochastic_heun import StochasticHeun
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
    masses = history(sde, edges, STEPS)
    score = grid_score(sde, edges, masses)
    prior = GaussianPrior(0.0, 1.0)  # not drawn from: both walks start from p_T's own quantiles
    ends = masses[-1].cumsum(0)
    yield _flow(sde, score, prior, edges, ends)
    yield _back(sde, score, prior, edges, ends, PATHS[level])


def grid_score(sde: SDE, edges: Tensor, masses: Tensor) -> Callable[[Tensor, float], Tensor]:
    """d(log p)/dx at states (B, 1) and a time of the grid, by differences of the masses; flat where there is no mass."""
    logs = masses.clamp(min=1e-14).log()
    slopes, width, inner = logs.diff(dim=1) / (edges[1] - edges[0]), (edges[1] - edges[0]).item(), edges[1:-1]

    def score(x: Tensor, t: float) -> Tensor:
        row = slopes[round(float(t) / sde.horizon * (len(masses) - 1))]
        place = ((x - inner[0]) / width).clamp(0, len(inner) - 1.001)
        low = place.nan_to_num().floor().long()
        return torch.lerp(row[low], row[low + 1], place - low)

    return score


def _cdf(x: Tensor, edges: Tensor, cumulative: Tensor) -> Tensor:
    """The distribution function of cell masses at x, linear within a cell."""
    place = ((x - edges[0]) / (edges[1] - edges[0])).clamp(0, len(edges) - 1.001)
    low = place.nan_to_num().floor().long()
    whole = torch.cat([torch.zeros(1, dtype=torch.float64), cumulative])
    return torch.lerp(whole[low], whole[low + 1], place - low)


def _flow(sde: SDE, score: Callable, prior: GaussianPrior, edges: Tensor, ends: Tensor) -> Finding:
    u = torch.linspace(0.02, 0.98, 49, dtype=torch.float64)[:, None]
    x = START[0] + START[1] * torch.special.ndtri(u)
    flow = probability_flow(sde, score, prior).equation
    x = FixedGrid(Heun(), STEPS)(flow, x, 0.0, sde.horizon)
    gap = (_cdf(x, edges, ends) - u).abs()
    worst = int(gap.argmax())
    return verdict(
        "probability flow keeps the law",
        gap.max().item(),
        2 * GRID_ERROR,
        example=f"the quantile {u[worst].item():.2f} of p_0 becomes {_cdf(x, edges, ends)[worst].item():.3f} of p_T",
        cause="drift and diffusion as the reversal sees them are not those of the process",
        read="sde_diffusion/reversal/probability_flow.py",
    )


def _back(sde: SDE, score: Callable, prior: GaussianPrior, edges: Tensor, ends: Tensor, n: int) -> Finding:
    u = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    cell = torch.searchsorted(ends, u).clamp(max=len(ends) - 1)
    x = (edges[cell] + edges[cell + 1])[:, None] / 2
    path = FreshIncrements.like(x, 4, sde.horizon, 0.0)
    back = reverse_sde(sde, score, prior=prior).equation
    x = FixedGrid(StochasticHeun(), STEPS, uniform)(back, x, sde.horizon, 0.0, path)[:, 0].sort().values
    exact = torch.special.ndtr((x - START[0]) / START[1])
    gap = (exact - (torch.arange(n, dtype=torch.float64) + 0.5) / n).abs()
    worst = int(gap.argmax())
    return verdict(
        "reverse SDE returns the law",
        gap[worst].item(),
        band(n, 1) + 2 * GRID_ERROR,
        example=f"P(x < {x[worst]:.4g}) at t = 0: {worst / n:.4f} of the paths, {exact[worst]:.4f} of the law",
        cause="drift and diffusion as the reversal sees them are not those of the process",
        note=f"a gap of {2 * band(n, 1) + 2 * GRID_ERROR:.2g} is seen with probability above 0.9999",
        read="sde_diffusion/reversal/reverse_sde.py",
    )
