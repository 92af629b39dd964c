"""The cells of the work-precision benchmark: a problem in a range, fresh points x_T, and their exact ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.data.patches import Patches
from sde_diffusion.exact import problems
from sde_diffusion.exact.empirical import Empirical
from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.reference_flow import flow_end_point
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.edm import EDM
from sde_diffusion.sde.vp import VP

RANGES: dict[str, LinearSDE] = {"VP": VP(0.1, 20.0, t_min=1e-3), "EDM": EDM(80.0, 0.002)}


@dataclass(frozen=True)
class Problem:
    """A distribution, how many points, how accurate a reference, and the error that a cell reports."""

    law: Callable[[], Law]
    points: int
    error: Callable[[Law, Tensor, Tensor], float]
    tol: float = 1e-11


def rms(law: Law, x: Tensor, exact: Tensor) -> float:
    """Root mean square over samples and coordinates."""
    return (x - exact).square().mean().sqrt().item()


def median(law: Law, x: Tensor, exact: Tensor) -> float:
    """Median over samples of the root mean square over coordinates."""
    return (x - exact).square().flatten(1).mean(1).sqrt().median().item()


def wrong_image(law: Law, x: Tensor, exact: Tensor) -> float:
    """The share of trajectories that do not end on the image on which the exact flow ends."""
    assert isinstance(law, Empirical)
    return (law.nearest(x.nan_to_num()) != law.nearest(exact)).double().mean().item()


def random_mixture(seed: int, modes: int, dimensions: int, low: float, high: float) -> Mixture:
    """Isotropic modes at normal means, standard deviations uniform between low and high; mean 0, variance 1 on average."""
    generator = torch.Generator().manual_seed(seed)
    weights = 1 + 2 * torch.rand(modes, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum()
    means = torch.randn(modes, dimensions, generator=generator, dtype=torch.float64)
    means = means - weights @ means
    deviations = low + (high - low) * torch.rand(modes, generator=generator, dtype=torch.float64)
    scale = Mixture(weights, means, deviations**2).variance.mean().rsqrt()
    return Mixture(weights, scale * means, (scale * deviations) ** 2)


def moons() -> Mixture:
    """Two half circles that interlock, of 30 narrow modes each; mean 0, variance 1 on average."""
    angles = torch.linspace(0, math.pi, 30, dtype=torch.float64)
    upper = torch.stack((angles.cos(), angles.sin()), -1)
    means = torch.cat([upper, torch.tensor([1.0, 0.5]) - upper])
    means = means - means.mean(0)
    scale = (means.square().mean() + 0.1**2).rsqrt().item()
    return Mixture(torch.full((60,), 1 / 60), scale * means, (0.1 * scale) ** 2)


def patches_empirical() -> Empirical:
    """A thousand patches of 6 x 6 pixels in colour as a data set: a fine grid of choices, unlike digits."""
    return Empirical(Patches(6, 1000, seed=3).batch(torch.arange(1000))[0].double())


def checkerboard() -> Mixture:
    """Eight squares of a board, each of 5 x 5 narrow modes: sharp edges and flat interiors."""
    cells = [(i, j) for i in range(4) for j in range(4) if (i + j) % 2 == 0]
    inner = torch.linspace(-0.4, 0.4, 5, dtype=torch.float64)
    offsets = torch.cartesian_prod(inner, inner)
    means = torch.cat([torch.tensor(cell, dtype=torch.float64) - 1.5 + offsets for cell in cells])
    scale = 1 / math.sqrt(4 / 3)
    return Mixture(torch.full((len(means),), 1 / len(means)), scale * means, (0.1 * scale) ** 2)


PROBLEMS = {
    "two": Problem(problems.two, 2048, rms),
    "ring8": Problem(problems.ring8, 2048, rms),
    "mixture64": Problem(problems.mixture64, 96, median),
    "digits": Problem(problems.digits_empirical, 64, wrong_image, tol=1e-8),
    "unseen: checkerboard": Problem(checkerboard, 512, rms),
    "unseen: 20 modes in 4-D": Problem(lambda: random_mixture(11, 20, 4, 0.05, 0.5), 512, rms),
    "unseen: 3 modes in 32-D": Problem(lambda: random_mixture(12, 3, 32, 0.1, 0.8), 512, rms),
    "unseen: mixture64, seed 7": Problem(lambda: problems.mixture64(7), 64, median),
    "fresh: two moons": Problem(moons, 512, rms),
    "fresh: 12 modes in 8-D": Problem(lambda: random_mixture(2611, 12, 8, 0.05, 0.6), 512, rms),
    "fresh: patches": Problem(patches_empirical, 64, wrong_image, tol=1e-8),
}
"""The four named problems; four that nothing was fitted on, but that were looked at while the rule was chosen; and three
that were written when it was done."""


@dataclass(frozen=True)
class Cell:
    """A problem in a range with its points: x_T (B, *E) and the exact end points, both in float64."""

    problem: Problem
    law: Law
    sde: LinearSDE
    x: Tensor
    exact: Tensor

    def error(self, x: Tensor) -> float:
        """What the cell reports, nan for anything that is not a number."""
        return self.problem.error(self.law, x, self.exact)


def cell(name: str, span: str, seed: int) -> Cell:
    """A named problem in a range."""
    return drawn(PROBLEMS[name], RANGES[span], seed)


def drawn(problem: Problem, sde: LinearSDE, seed: int) -> Cell:
    """Points from the process's prior, by a generator of their own, and their reference."""
    law, generator = problem.law(), torch.Generator().manual_seed(seed)
    noise = torch.randn(problem.points, *law.event_shape, generator=generator, dtype=torch.float64)
    x = sde.prior().from_noise(noise)
    return Cell(problem, law, sde, x, flow_end_point(law, sde.kernel, x, sde.horizon, sde.t_min, problem.tol))
