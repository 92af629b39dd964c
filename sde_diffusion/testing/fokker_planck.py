r"""A process without closed forms against its Fokker-Planck equation.

    dp/dt = -div(drift p) + g^2/2 laplacian p                                                                      (1)
    d(log p)/dt = -div drift - drift . s + g^2/2 (div s + |s|^2),   s = grad log p                                 (2)

(1) is solved on the line by implicit steps of a finite-volume scheme that keeps mass and positivity (Chang & Cooper),
and simulated paths are held against it by their distribution function. (2) is evaluated by automatic differentiation
where the process has a density of its own, log_prob(x, t) (B,), such as an equilibrium.

References:
    Chang & Cooper, A practical difference scheme for Fokker-Planck equations, 1970,
        https://doi.org/10.1016/0021-9991(70)90001-X
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE
from sde_diffusion.testing.times import inner_times
from solvers.equations import ItoSDE
from solvers.integrate import FixedGrid
from solvers.methods.stochastic_heun import StochasticHeun
from solvers.testing.diagnosis import likely
from solvers.testing.report import FULL, Finding, verdict
from solvers.testing.significance import band
from solvers.wiener import FreshIncrements

PATHS = {"quick": 20_000, FULL: 100_000}
START = (0.3, 0.5)
"""Mean and standard deviation of the distribution at t = 0."""

UNIT = np.array([[0.0], [1.0], [0.0]])
"""The bands of the identity."""

GRID_ERROR = 5e-3
"""What the grid and the steps may add to a distribution function."""


DIFFUSION_FACTORS = {
    "sqrt(2) is missing from the diffusion (Langevin)": math.sqrt(2),
    "the diffusion is sqrt(2) times too large": 1 / math.sqrt(2),
    "the diffusion is twice too large": 0.5,
    "the diffusion is half of what it should be": 2.0,
}


def batch_independence(sde: SDE, level: str) -> Iterator[Finding]:
    """drift of a sample alone is what it is among others, in either dtype."""
    x, worst, example = torch.linspace(-1.5, 1.7, 6, dtype=torch.float64)[:, None], 0.0, ""
    for t in inner_times(sde, 4).tolist():
        together = sde.drift(x, t)
        for i in range(len(x)):
            error = (sde.drift(x[i : i + 1], t) - together[i : i + 1]).abs().max().item()
            if not error <= worst:
                worst, example = error, f"t = {t:.4g}, sample {i} of {len(x)} alone and in the batch"
    cause = "the drift takes a mean or a norm over the batch"
    yield verdict("drift does not depend on the batch", worst, 1e-12, example=example, cause=cause)
    kept = sde.drift(x.float(), sde.horizon / 2).dtype == torch.float32
    yield verdict("drift keeps the dtype", float(not kept), 0.0, example="a float32 state")


def claimed_law(sde: Any, level: str) -> Iterator[Finding]:
    """Equation (2), in two dimensions; nothing where the process has no density."""
    if not hasattr(sde, "log_prob"):
        return
    x = torch.stack(
        torch.meshgrid(*[torch.linspace(-1.3, 1.4, 5, dtype=torch.float64)] * 2, indexing="ij"), -1
    ).reshape(-1, 2)
    t = torch.tensor(0.4 * sde.horizon, dtype=torch.float64)

    def residual(factor: float = 1.0) -> Tensor:
        return torch.stack([_residual(sde, row, t, factor) for row in x])

    error = residual()
    causes = [(words, lambda c=c: residual(c).abs().max().item()) for words, c in DIFFUSION_FACTORS.items()]
    worst = int(error.abs().argmax())
    yield verdict(
        "the claimed law solves the Fokker-Planck equation",
        error[worst].abs().item(),
        1e-8,
        example=f"x = {[round(v, 3) for v in x[worst].tolist()]}, t = {t:.4g}",
        cause=lambda: likely(causes, 1e-8),
        read="equation (2) of sde_diffusion/testing/fokker_planck.py",
    )


def _residual(sde: Any, x: Tensor, t: Tensor, factor: float) -> Tensor:
    """Left side less right side of (2) at one point x (2,), in 1/time."""
    g2 = (factor * torch.as_tensor(sde.diffusion(t), dtype=torch.float64)) ** 2

    def log_p(x: Tensor, t: Tensor) -> Tensor:
        return sde.log_prob(x[None], t)[0]

    def drift(x: Tensor) -> Tensor:
        return sde.drift(x[None], t)[0]

    score = partial(torch.func.grad(log_p), t=t)
    s, growth = score(x), torch.func.grad(log_p, argnums=1)(x, t)
    divergence, laplacian = torch.func.jacrev(drift)(x).trace(), torch.func.jacrev(score)(x).trace()
    return growth + divergence + drift(x) @ s - 0.5 * g2 * (laplacian + s @ s)


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
    path, equation = FreshIncrements.like(x, seed + 1, 0.0, sde.horizon), ItoSDE(sde.drift, sde.diffusion)
    low = high = x
    for _, x in FixedGrid(StochasticHeun(), steps).trajectory(equation, x, 0.0, sde.horizon, path):
        low, high = torch.minimum(low, x), torch.maximum(high, x)
    first, last = low.min().item(), high.max().item()
    edges = torch.linspace(first - 0.2 * (last - first), last + 0.2 * (last - first), 401, dtype=torch.float64)
    seen = torch.searchsorted(x[:, 0].sort().values, edges[1:].contiguous()) / n
    return edges[1:], seen, evolve(sde, edges, steps).cumsum(0)


def evolve(sde: SDE, edges: Tensor, steps: int) -> Tensor:
    """The masses of the cells between the edges at the horizon, from the Gaussian START, by equation (1)."""
    return history(sde, edges, steps)[-1]


def history(sde: SDE, edges: Tensor, steps: int) -> Tensor:
    """The masses at all times 0, h, ..., horizon: (steps + 1, cells)."""
    width, h = (edges[1] - edges[0]).item(), sde.horizon / steps
    mass = torch.special.ndtr((edges - START[0]) / START[1]).diff().numpy()
    all_of_them = [mass]
    for i in range(steps):
        bands = _generator(sde, edges, width, (i + 0.5) * h)
        mass = _step(mass, bands, h, 1.0 if i < 2 else 0.5)
        all_of_them.append(mass)
    return torch.from_numpy(np.stack(all_of_them))


def _step(mass: np.ndarray, bands: np.ndarray, h: float, implicit: float) -> np.ndarray:
    """One step of the theta scheme: implicit first, to smooth, then trapezoidal; bands above, on and below."""
    from scipy.linalg import solve_banded

    up, middle, down = bands
    moved = middle * mass
    moved[:-1] += up[1:] * mass[1:]
    moved[1:] += down[:-1] * mass[:-1]
    return solve_banded((1, 1), UNIT - implicit * h * bands, mass + (1 - implicit) * h * moved)


def _generator(sde: SDE, edges: Tensor, width: float, t: float) -> np.ndarray:
    """The three bands of (1), (3, cells): fluxes through the inner edges, none through the outer ones."""
    drift = sde.drift(edges[1:-1, None], t)[:, 0].numpy()
    spread = float(sde.diffusion(t)) ** 2 / 2 / width
    w = np.clip(drift / spread, -500, 500)
    safe = np.where(np.abs(w) < 1e-6, 1.0, w)
    share = np.where(np.abs(w) < 1e-6, 0.5 - w / 12, 1 / safe - 1 / np.expm1(safe))
    up, down = spread + (1 - share) * drift, spread - share * drift
    bands = np.zeros((3, len(edges) - 1))
    bands[0, 1:], bands[2, :-1] = down, up
    bands[1, :-1] -= up
    bands[1, 1:] -= down
    return bands / width
