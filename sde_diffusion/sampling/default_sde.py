r"""The default stochastic sampler: a rule from the number of denoiser calls to a solver of the reverse SDE.

| part | value | where |
|---|---|---|
| equation | the Gaussian form with v^(1/2) = FINE data_std and eta = 1: Anderson's reverse SDE | `gaussian_form` |
| time grid | log(1 + (kappa/level)^INNER)^OUTER uniform, kappa = sigma/alpha, level = LEVEL data_std | `solvers.grids.tapered` |
| method | predictor-corrector of three fields, one call a step | `PredictEvaluateCorrect` |
| end | x at t_min itself, without a last denoising step | |

The rule knows the number of calls, the process and the standard deviation of the data, and nothing else of the data.
Above kappa = FINE data_std the Gaussian form takes the steps of a log-spaced grid. Below, it takes few: data without finer
features have stopped moving there. Features ten times finer cost accuracy slowly.

With an exact denoiser a deterministic sampler is more accurate at every number of calls (`default_solver`). Noise is worth
its cost where the denoiser errs, because it forgets earlier errors.

The numbers were chosen by the mean log-density of Gaussian mixtures in 2 and 64 dimensions at 20 and 35 calls.
benchmarks/stochastic.py measures the rule.
"""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.gaussian_form import gaussian_form
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.sampling.default_ode import check_rule
from sde_diffusion.sampling.spacings import in_levels
from sde_diffusion.sde.base import LinearSDE
from solvers.adaptive_sde import AdaptiveSDE
from solvers.grids import tapered
from solvers.integrate import FixedGrid
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect

FINE, LEVEL, INNER, OUTER = 0.15, 0.1, 2.75, 0.25


def default_stochastic_solver(
    sde: LinearSDE, denoiser: Denoiser, nfe: int, data_std: float = 1.0
) -> tuple[Reversal, FixedGrid]:
    """(reversal, solver) of the reverse SDE that makes exactly `nfe` denoiser calls; hand both to `sample`.

    Args:
        nfe: the number of denoiser calls for each sample, at least 1.
        data_std: standard deviation of the data, root mean square over the coordinates.

    Raises:
        ValueError: `nfe` or `data_std` is not positive.
    """
    check_rule(nfe, data_std)
    form = gaussian_form(sde, denoiser, 1.0, FINE * data_std).without_final_denoise()
    levels = tapered(LEVEL * data_std, INNER, OUTER)
    return form, FixedGrid(PredictEvaluateCorrect(3), nfe, in_levels(sde, form.clock, levels))


def tolerant_stochastic_solver(
    sde: LinearSDE, denoiser: Denoiser, tol: float, data_std: float = 1.0
) -> tuple[Reversal, AdaptiveSDE]:
    """Anderson's reverse SDE in x itself, solved to a tolerance by stochastic Heun with Euler-Maruyama inside."""
    return reverse_sde(sde, denoiser).without_final_denoise(), AdaptiveSDE.tol(tol)
