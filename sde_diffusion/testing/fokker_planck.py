r"""A process without closed forms against its Fokker-Planck equation.

    dp/dt = -div(v p),   v = drift - 1/2 (d(g^2) + g^2 s),   s = grad log p,   d(g^2)_i = d(g_i^2)/dx_i               (1)
    d(log p)/dt = -div v - v . s                                                                                   (2)

(1) is solved on a grid (`grid.history`), and simulated paths are held against it: on the line by their distribution
function, in two and three dimensions by the means of waves (`waves.laws`). (2) is evaluated by automatic differentiation
where the process has a density of its own, log_prob(x, t) (B,), such as an equilibrium.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.state_dependent import StateDependentSDE
from sde_diffusion.testing.causes import DRIFT_SLOPES
from sde_diffusion.testing.grid import Grid, history
from sde_diffusion.testing.simulation import START, coordinates, solver_of
from solvers.testing.diagnosis import likely
from solvers.testing.report import FULL, Finding, verdict
from solvers.testing.significance import band
from solvers.wiener import FreshIncrements

PATHS = {"quick": 20_000, FULL: 100_000}
GRID_ERROR = 5e-3
"""What the grid and the steps may add to a distribution function."""


DIFFUSION_FACTORS = {
    "sqrt(2) is missing from the diffusion (Langevin)": math.sqrt(2),
    "the diffusion is sqrt(2) times too large": 1 / math.sqrt(2),
    "the diffusion is twice too large": 0.5,
    "the diffusion is half of what it should be": 2.0,
}


def claimed_law(sde: Any, level: str) -> Iterator[Finding]:
    """Equation (2), in two dimensions or three; nothing where the process has no density."""
    if not hasattr(sde, "log_prob"):
        return
    d = max(2, coordinates(sde))
    lines = [torch.linspace(-1.3, 1.4, 7 - d, dtype=torch.float64)] * d
    x = torch.stack(torch.meshgrid(*lines, indexing="ij"), -1).reshape(-1, d)
    t = torch.tensor(0.4 * sde.horizon, dtype=torch.float64)

    def residual(factor: float = 1.0, slope: float = 0.0) -> Tensor:
        return torch.stack([_residual(sde, row, t, factor, slope) for row in x])

    error = residual()
    causes = [(words, lambda c=c: residual(c).abs().max().item()) for words, c in DIFFUSION_FACTORS.items()]
    if isinstance(sde, StateDependentSDE):
        causes += [(words, lambda c=c: residual(slope=c).abs().max().item()) for words, c in DRIFT_SLOPES.items()]
    worst = int(error.abs().argmax())
    yield verdict(
        "the claimed law solves the Fokker-Planck equation",
        error[worst].abs().item(),
        1e-8,
        example=f"x = {[round(v, 3) for v in x[worst].tolist()]}, t = {t:.4g}",
        cause=lambda: likely(causes, 1e-8),
        read="equation (2) of sde_diffusion/testing/fokker_planck.py",
    )


def _residual(sde: Any, x: Tensor, t: Tensor, factor: float, slope: float) -> Tensor:
    """Left side less right side of (2) at one point x (d,), in 1/time; `slope` times d(g^2) is added to the drift."""

    def variance(x: Tensor) -> Tensor:
        g = sde.diffusion(x[None], t)[0] if isinstance(sde, StateDependentSDE) else sde.diffusion(t)
        return (factor * torch.as_tensor(g, dtype=torch.float64).expand(x.shape)) ** 2

    def log_p(x: Tensor, t: Tensor) -> Tensor:
        return sde.log_prob(x[None], t)[0]

    score = partial(torch.func.grad(log_p), t=t)

    def velocity(x: Tensor) -> Tensor:
        spread = torch.func.jacrev(variance)(x).diagonal()
        return sde.drift(x[None], t)[0] + (slope - 0.5) * spread - 0.5 * variance(x) * score(x)

    growth = torch.func.grad(log_p, argnums=1)(x, t)
    return growth + torch.func.jacrev(velocity)(x).trace() + velocity(x) @ score(x)


def simulated_law(sde: SDE, level: str) -> Iterator[Finding]:
    """Paths from a Gaussian against equation (1): the largest gap between the distribution functions."""
    n = PATHS[level]
    x, seen, exact = distributions(sde, n)
    gap = (exact - seen).abs()
    worst = int(gap.argmax())
    yield verdict(
        "simulated law solves the Fokker-Planck equation",
        gap[worst].item(),
        band(n, 1) + GRID_ERROR,
        example=f"P(x < {x[worst]:.4g}) at the horizon: {seen[worst]:.4f} of the paths, {exact[worst]:.4f} by the equation",
        cause="drift or diffusion answer the solver otherwise than the grid: they depend on the batch, or on hidden state",
        note=f"a gap of {2 * band(n, 1) + GRID_ERROR:.2g} is seen with probability above 0.9999",
        read="equation (1) of sde_diffusion/testing/fokker_planck.py",
    )


def distributions(sde: SDE, n: int, seed: int = 5, steps: int = 400) -> tuple[Tensor, Tensor, Tensor]:
    """Points, and the distribution function at the horizon there: of n paths, and by equation (1); (400,) each."""
    noise = torch.randn(n, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    x = START[0] + START[1] * noise
    path, equation = FreshIncrements.like(x, seed + 1, 0.0, sde.horizon), sde.equation(sde.drift)
    low = high = x
    for _, x in solver_of(equation, steps).trajectory(equation, x, 0.0, sde.horizon, path):
        low, high = torch.minimum(low, x), torch.maximum(high, x)
    first, last = low.min().item(), high.max().item()
    edges = torch.linspace(first - 0.2 * (last - first), last + 0.2 * (last - first), 401, dtype=torch.float64)
    seen = torch.searchsorted(x[:, 0].sort().values, edges[1:].contiguous()) / n
    return edges[1:], seen, history(sde, Grid((edges,)), START, steps)[-1].cumsum(0)
