r"""One solver of the probability flow for every budget: a rule from the denoiser calls to a method and a grid.

The rule knows the process's range of noise levels and the budget, and nothing of the law behind the denoiser:

    chart     y = x/(alpha + c sigma), clock u = sigma/(alpha + c sigma)                  (weighted_velocity_form)
    grid      a density of points over log(sigma/alpha), log-linear between LEVELS        (solvers.grids.by_density)
    method    a predictor-corrector of one call a step, of 2 to 5 fields                  (PredictEvaluateCorrect)

More fields pay where the steps are short enough for them. The last step is of full order: the end is x at t_min itself,
not a denoised mean.

The weight c and the density were fitted in each of the four ranges of budgets by gradient through the solver, to 22 laws
in 1 to 64 dimensions, each of about unit variance: Gaussian mixtures with few and many, narrow and wide, isotropic and
full modes, and empirical laws of images and tables. What was minimised is the mean logarithm of the error over that of
the best of 13 good published settings, with a penalty on ratios above one: to be near the best everywhere counts for more
than to be far ahead somewhere. `data_std` carries them to data of another scale, exactly. benchmarks/work_precision.py
measures the rule on points, and on problems, that no fit has seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import Spacing, by_density, through
from solvers.integrate import FixedGrid
from solvers.method import Method
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

LEVELS = tuple(0.001 * 200_000 ** (k / 10) for k in range(11))
"""Values of sigma/alpha, from 0.001 to 200, at which a shape gives the density of points."""


@dataclass(frozen=True)
class Shape:
    """Where a budget puts its points: logarithms of their density at `LEVELS`, and the chart's weight c."""

    density: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Range:
    """Budgets up to `last`: the fields that the predictor combines, and the shapes at two budgets, `few` and `many`.

    Between the two the numbers are linear in the budget's logarithm, c in its own; outside they are those of the nearer.
    """

    last: float
    fields: int
    few: tuple[int, Shape]
    many: tuple[int, Shape]

    def shape(self, nfe: int) -> Shape:
        """The numbers of a budget."""
        (few, one), (many, other) = self.few, self.many
        share = math.log(min(max(nfe, few), many) / few) / math.log(many / few)
        density = tuple((1 - share) * a + share * b for a, b in zip(one.density, other.density, strict=True))
        return Shape(density, one.weight ** (1 - share) * other.weight**share)


RANGES = (
    Range(
        11,
        2,
        (5, Shape((-3.20, -2.85, -1.07, 0.12, 0.63, 1.27, 0.79, 0.75, -0.23, -0.70, -1.68), 2.03)),
        (12, Shape((-2.39, -2.04, -1.13, 0.28, 0.57, 1.34, 1.25, 0.64, -0.51, -0.76, -1.68), 2.44)),
    ),
    Range(
        17,
        3,
        (12, Shape((-3.88, -3.48, -0.08, 0.09, 0.90, 1.44, 1.13, 0.33, -0.53, -0.65, -2.02), 2.54)),
        (20, Shape((-4.70, -4.46, -0.22, -0.36, 0.81, 1.25, 1.27, 0.36, -1.22, -0.26, -2.00), 2.8)),
    ),
    Range(
        34,
        4,
        (20, Shape((-2.55, -1.97, 0.34, -0.15, 0.62, 1.24, 0.89, 0.41, -1.25, -0.43, -1.63), 1.69)),
        (35, Shape((-3.49, -3.00, -0.36, -0.18, 0.93, 1.45, 1.24, 0.47, -1.21, -0.73, -2.93), 5.66)),
    ),
    Range(
        math.inf,
        5,
        (35, Shape((-0.42, -0.39, 0.06, -0.09, 0.78, 1.48, 1.12, 0.32, -1.11, -0.64, -1.99), 1.8)),
        (100, Shape((-0.79, -0.98, -1.06, -0.47, 0.99, 1.38, 1.38, 0.35, -0.78, -0.84, -1.73), 4.44)),
    ),
)


def default_solver(sde: LinearSDE, denoiser: Denoiser, nfe: int, data_std: float = 1.0) -> tuple[Reversal, FixedGrid]:
    """(reversal, solver) of the probability flow that costs exactly `nfe` denoiser calls; hand both to `sample`.

    Args:
        nfe: the budget, at least 1.
        data_std: standard deviation of the data, root mean square over the coordinates.

    Raises:
        ValueError: a budget or a standard deviation that is not positive.
    """
    checked(nfe, data_std)
    chosen = shape(nfe)
    c = chosen.weight / data_std
    levels = by_density([level * data_std for level in LEVELS], chosen.density)
    return scaled_velocity_form(sde, denoiser, c).without_final_denoise(), FixedGrid(
        method(nfe), nfe, in_chart(levels, c)
    )


def in_chart(levels: Spacing, c: float) -> Spacing:
    """A grid laid out in sigma/alpha, as a grid of the clock of weight c."""
    return through(lambda u: u / (1 - c * u), lambda level: level / (1 + c * level), levels)


def checked(nfe: int, data_std: float) -> None:
    """Raises ValueError for a budget or a standard deviation that is not positive."""
    if not isinstance(nfe, int) or nfe < 1:
        raise ValueError(f"a budget is a number of denoiser calls, at least 1, got {nfe!r}; give 20")
    if not data_std > 0:
        raise ValueError(f"the data's standard deviation must be above 0, got {data_std}; give 1 for normalised data")


def method(nfe: int) -> Method:
    """The predictor-corrector of a budget."""
    return PredictEvaluateCorrect(_range(nfe).fields)


def shape(nfe: int) -> Shape:
    """The numbers of a budget. Below 5 calls they are those of 5, above 100 those of 100."""
    return _range(nfe).shape(nfe)


def _range(nfe: int) -> Range:
    return next(found for found in RANGES if nfe <= found.last)
