r"""One solver of Anderson's reverse SDE for every budget: a rule from the denoiser calls to a method and a grid.

    chart     the Gaussian form of deviation v^(1/2) = FINE times the data's, eta = 1             (gaussian_form)
    grid      log(1 + (kappa/level)^inner)^outer uniform, kappa = sigma/alpha                     (solvers.grids.tapered)
    method    a predictor-corrector of three fields, one call a step                              (PredictEvaluateCorrect)

The rule knows the budget and the data's standard deviation, and nothing of the law behind the denoiser. The Gaussian form takes
the steps of a log-spaced grid above kappa = FINE, and few below it, where data without finer features have come to rest;
features ten times finer cost accuracy slowly. With an exact denoiser a deterministic sampler is more accurate in law at
every budget (`default_solver`): noise pays where the denoiser errs, for it forgets earlier errors.

The numbers were chosen by the mean log-density of mixtures in 2 and 64 dimensions at 20 and 35 calls;
`benchmarks/stochastic.py` measures the rule.
"""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.gaussian_form import gaussian_form
from sde_diffusion.reversal.sigma_form import sigma_clock
from sde_diffusion.sampling.default_ode import checked
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import Spacing, tapered, through
from solvers.integrate import FixedGrid
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

FINE, LEVEL, INNER, OUTER = 0.15, 0.1, 2.75, 0.25


def default_stochastic_solver(
    sde: LinearSDE, denoiser: Denoiser, nfe: int, data_std: float = 1.0
) -> tuple[Reversal, FixedGrid]:
    """(reversal, solver) of the reverse SDE that costs exactly `nfe` denoiser calls; hand both to `sample`.

    The reversal is `raw`: it ends on x at t_min itself.

    Args:
        nfe: the budget, at least 1.
        data_std: standard deviation of the data, root mean square over the coordinates.

    Raises:
        ValueError: a budget or a standard deviation that is not positive.
    """
    checked(nfe, data_std)
    form = gaussian_form(sde, denoiser, 1.0, FINE * data_std).without_final_denoise()
    levels = tapered(LEVEL * data_std, INNER, OUTER)
    return form, FixedGrid(PredictEvaluateCorrect(3), nfe, form.clock.spacing(in_noise_level(sde, levels)))


def in_noise_level(sde: LinearSDE, spacing: Spacing) -> Spacing:
    """A grid laid out in sigma/alpha, as a grid of the SDE's time."""
    level = sigma_clock(sde)
    return through(level.from_time, level.to_time, spacing)
