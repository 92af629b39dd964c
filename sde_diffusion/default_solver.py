r"""One solver of the probability flow for every budget: a rule from the denoiser calls to a method and a grid.

The rule knows the process's range of noise levels and the budget, and nothing of the law behind the denoiser:

    chart     y = x/(alpha + c sigma), clock u = sigma/(alpha + c sigma)                  (weighted_velocity_form)
    grid      log(1 + (kappa/level)^inner)^outer uniform, kappa = sigma/alpha             (solvers.grids.tapered)
    method    up to FEW calls Adams-Bashforth of three fields, beyond a predictor-corrector of four, one call a step

A corrector earns an order where the steps are short enough to be corrected and costs stability where they are not:
hence the change of method. The last step is of full order: the end is x at t_min itself, not a denoised mean.

The numbers are power laws of the budget, fitted on either side of FEW to two mixtures in 2 dimensions, one in 64 and the
empirical law of the digits, all of about unit variance, by the logarithm of the error over the best peer's, with a penalty
on ratios above one: to be near the best everywhere counts for more than to be far ahead somewhere. `deviation` carries
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

FEW = 13
"""Up to this many calls the rule extrapolates, beyond it corrects as well."""


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
    """Adams-Bashforth of three fields for few calls, a predictor-corrector of four for more."""
    return AdamsBashforth(3) if nfe <= FEW else PredictEvaluateCorrect(4)


def shape(nfe: int) -> Shape:
    """The numbers of a budget. Below 5 calls they are those of 5, above 100 those of 100."""
    if nfe <= FEW:
        r = max(nfe, 5) / 8
        return Shape(level=0.82 * r**1.76, inner=2.27 * r**0.33, outer=0.19 * r**-0.56, weight=1.69 * r**-0.46)
    r = min(nfe, 100) / 30
    return Shape(level=0.74 * r**-0.87, inner=2.22 * r**0.17, outer=0.197 * r**0.5, weight=5.0 * r**0.18)


def in_noise_level(sde: LinearSDE, spacing: Spacing) -> Spacing:
    """A grid laid out in sigma/alpha, as a grid of the SDE's time."""
    level = sigma_clock(sde)
    return through(level.read, level.time, spacing)
