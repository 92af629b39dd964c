r"""The default sampler: a rule from the number of denoiser calls to a solver of the probability-flow ODE.

| part | value | where |
|---|---|---|
| equation | y = x/(alpha + c sigma) against u = sigma/(alpha + c sigma) | `scaled_velocity_form` |
| time grid | a density of points over log(sigma/alpha), log-linear between `LEVELS` | `solvers.grids.by_density` |
| method | Adams predictor-corrector, one call a step | `PredictEvaluateCorrect` |
| end | x at t_min itself, without a last denoising step | |

| calls | fields of the predictor | fitted at |
|---|---|---|
| 1 to 11 | 2 | 5 and 12 calls |
| 12 to 17 | 3 | 12 and 20 calls |
| 18 to 34 | 4 | 20 and 35 calls |
| 35 and more | 5 | 35 and 100 calls |

More fields need shorter steps. The rule knows the number of calls, the process and the standard deviation of the data. It
knows nothing else of the data and never calls the denoiser before it samples.

How the numbers were found. The weight c and the density were fitted in each of the four ranges by gradient descent through
the solver. The data were 22 distributions of unit variance in 1 to 64 dimensions: Gaussian mixtures with few and many, narrow
and wide, isotropic and full modes, and empirical distributions of pictures and tables. The loss is the mean logarithm of the
error relative to the best of 13 published settings, with a penalty on ratios above one. Data of another scale are the same
problem in other units: `data_std` carries the rule to them exactly. benchmarks/default_rule.py is the fit,
benchmarks/work_precision.py measures the rule on distributions that no fit has used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sde.base import LinearSDE
from solvers.adaptive import Adaptive
from solvers.grids import Spacing, by_density, through
from solvers.integrate import FixedGrid
from solvers.methods.dopri5 import Dopri5
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

LEVELS = tuple(0.001 * 200_000 ** (k / 10) for k in range(11))
"""Values of sigma/alpha, from 0.001 to 200, at which a shape gives the density of points."""


@dataclass(frozen=True)
class Shape:
    """Where the grid's points lie: logarithms of their density at `LEVELS`, and the weight c of the equation."""

    density: tuple[float, ...]
    weight: float


@dataclass(frozen=True)
class Range:
    """Numbers of calls up to `last`: the fields of the predictor, and the shapes at two numbers of calls, `few` and `many`.

    Between these two the densities and log c are linear in the logarithm of the number of calls. Outside they are constant.
    """

    last: float
    fields: int
    few: tuple[int, Shape]
    many: tuple[int, Shape]

    def shape(self, nfe: int) -> Shape:
        """Grid and weight for a number of calls."""
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
    """(reversal, solver) of the probability flow that makes exactly `nfe` denoiser calls; hand both to `sample`.

    Args:
        nfe: the number of denoiser calls for each sample, at least 1.
        data_std: standard deviation of the data, root mean square over the coordinates.

    Raises:
        ValueError: `nfe` or `data_std` is not positive.
    """
    check_rule(nfe, data_std)
    chosen = shape(nfe)
    c = chosen.weight / data_std
    levels = by_density([level * data_std for level in LEVELS], chosen.density)
    form = scaled_velocity_form(sde, denoiser, c).without_final_denoise()
    return form, FixedGrid(method(nfe), nfe, in_chart(levels, c))


def tolerant_solver(sde: LinearSDE, denoiser: Denoiser, tol: float, data_std: float = 1.0) -> tuple[Reversal, Adaptive]:
    """The same equation at c = 2/data_std, solved to a tolerance by Dormand and Prince's pair."""
    return scaled_velocity_form(sde, denoiser, 2 / data_std).without_final_denoise(), Adaptive.tol(Dopri5(), tol)


def in_chart(levels: Spacing, c: float) -> Spacing:
    """A grid of noise levels sigma/alpha, as a grid of u = sigma/(alpha + c sigma)."""
    return through(lambda u: u / (1 - c * u), lambda level: level / (1 + c * level), levels)


def check_rule(nfe: int, data_std: float) -> None:
    """Raises ValueError for a number of calls or a standard deviation that is not positive."""
    if not isinstance(nfe, int) or nfe < 1:
        raise ValueError(f"nfe is a number of denoiser calls, at least 1, got {nfe!r}; give 20")
    if not data_std > 0:
        raise ValueError(f"data_std must be above 0, got {data_std}; give 1 for normalised data")


def method(nfe: int) -> PredictEvaluateCorrect:
    """The method for a number of calls."""
    return PredictEvaluateCorrect(_range(nfe).fields)


def shape(nfe: int) -> Shape:
    """Grid and weight for a number of calls. Below 5 they are those of 5, above 100 those of 100."""
    return _range(nfe).shape(nfe)


def _range(nfe: int) -> Range:
    return next(found for found in RANGES if nfe <= found.last)
