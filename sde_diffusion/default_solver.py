r"""One solver of the probability flow for every budget: a rule from the denoiser calls to a method and a grid.

The rule knows the process's range of noise levels and the budget, and nothing of the law behind the denoiser:

    chart     y = x/(alpha + c sigma), clock u = sigma/(alpha + c sigma)                  (weighted_velocity_form)
    grid      log(1 + (kappa/level)^inner)^outer uniform, kappa = sigma/alpha             (solvers.grids.tapered)
    method    Adams-Bashforth of three fields up to FEW calls, of five up to SOME; beyond, a predictor-corrector of four

A corrector earns an order where the steps are short enough to be corrected and costs stability where they are not:
hence the change of method. The last step is of full order: the end is x at t_min itself, not a denoised mean.

The numbers are power laws of the budget, fitted in each of the three ranges to mixtures in 2 to 64 dimensions, up to FEW
calls to the empirical law of the digits as well, all of about unit variance, by the logarithm of the error over that of
good published settings, with a penalty on ratios above one: to be near the best everywhere counts for more than to be far
ahead somewhere. `deviation` carries
them to data of another scale, exactly. benchmarks/work_precision.py measures the rule on points, and on problems, that
no fit has seen.
"""

from __future__ import annotations

from dataclasses import dataclass

from sde_diffusion.denoiser import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.sigma_form import sigma_clock
from sde_diffusion.reversal.weighted_velocity_form import weighted_velocity_form
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import Spacing, tapered, through
from solvers.integrate import FixedGrid
from solvers.method import Method
from solvers.methods.adams_bashforth import AdamsBashforth
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

FEW, SOME = 12, 19
"""Up to so many calls the rule extrapolates, from three fields and then from five; beyond it corrects as well."""


@dataclass(frozen=True)
class Shape:
    """Where a budget puts its points: the grid's `tapered` numbers and the chart's weight c."""

    level: float
    inner: float
    outer: float
    weight: float


def default_solver(sde: LinearSDE, denoiser: Denoiser, nfe: int, deviation: float = 1.0) -> tuple[Reversal, FixedGrid]:
    """(reversal, solver) of the probability flow that costs exactly `nfe` denoiser calls; hand both to `sample`.

    Args:
        nfe: the budget, at least 1.
        deviation: standard deviation of the data, root mean square over the coordinates.
    """
    checked(nfe, deviation)
    chosen = shape(nfe)
    form = weighted_velocity_form(sde, denoiser, chosen.weight / deviation).raw()
    levels = tapered(chosen.level * deviation, chosen.inner, chosen.outer)
    return form, FixedGrid(method(nfe), nfe, form.clock.spacing(in_noise_level(sde, levels)))


def checked(nfe: int, deviation: float) -> None:
    """Raises ValueError for a budget or a deviation that is not positive."""
    if not isinstance(nfe, int) or nfe < 1:
        raise ValueError(f"a budget is a number of denoiser calls, at least 1, got {nfe!r}; give 20")
    if not deviation > 0:
        raise ValueError(f"the data's deviation must be above 0, got {deviation}; give 1 for normalised data")


def method(nfe: int) -> Method:
    """Adams-Bashforth for few calls, a predictor-corrector of one call a step for more."""
    if nfe <= FEW:
        return AdamsBashforth(3)
    return AdamsBashforth(5) if nfe <= SOME else PredictEvaluateCorrect(4)


def shape(nfe: int) -> Shape:
    """The numbers of a budget. Below 5 calls they are those of 5, above 100 those of 100."""
    if nfe <= FEW:
        return _power_law(max(nfe, 5) / 8, (0.82, 2.27, 0.19, 1.69), (1.76, 0.33, -0.56, -0.46))
    if nfe <= SOME:
        return _power_law(nfe / 15, (1.39, 2.24, 0.186, 1.26), (0.24, -0.19, 0.34, 0.21))
    return _power_law(min(nfe, 100) / 30, (0.86, 2.33, 0.187, 4.63), (-0.72, 0.15, 0.39, 0.03))


def _power_law(r: float, factors: tuple[float, ...], exponents: tuple[float, ...]) -> Shape:
    return Shape(*(factor * r**exponent for factor, exponent in zip(factors, exponents, strict=True)))


def in_noise_level(sde: LinearSDE, spacing: Spacing) -> Spacing:
    """A grid laid out in sigma/alpha, as a grid of the SDE's time."""
    level = sigma_clock(sde)
    return through(level.read, level.time, spacing)
