"""Predictor-corrector sampling: any reversal on the SDE's time, corrected by Langevin steps at each level.

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, algorithm 1 and appendix G
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from sde_diffusion.denoisers.limited import check_equation
from sde_diffusion.reversal.base import Model, Reversal
from sde_diffusion.reversal.form import check_process_and_model, checked
from sde_diffusion.sde.base import SDE, LinearSDE
from solvers.elementwise import Coefficient
from solvers.equations import Equation, TargetFamily, select_rows


def predictor_corrector(
    reversal: Reversal, sde: SDE, model: Model, scale: Callable[[Coefficient], Coefficient] | None = None
) -> Reversal:
    """The reversal's equation as the transport of the distributions p_t; solve it with `PredictorCorrector(...)`.

    Args:
        reversal: in the SDE's own state and time, such as reverse_sde, probability_flow or ancestral.
        sde, model: what gives the score of p_t.
        scale: the length over which the score at t changes; sigma(t) where the process has kernels.

    Raises:
        ValueError: the reversal does not run in the SDE's own state and time, or a scale is missing.
    """
    if not isinstance(reversal, Reversal):
        raise TypeError(
            f"predictor_corrector takes a reversal first, got {type(reversal).__name__}; write "
            "predictor_corrector(reverse_sde(sde, model), sde, model)"
        )
    check_process_and_model("predictor_corrector", SDE, sde, model)
    check_equation("predictor_corrector", model, None)
    model = checked(model)
    if scale is None:
        if not isinstance(sde, LinearSDE):
            raise ValueError(f"{type(sde).__name__} has no noise level of its own; pass scale=, a function of t")
        scale = sde.sigma
    if (reversal.start, reversal.stop) != (sde.horizon, sde.t_min):
        raise ValueError(
            "predictor_corrector takes a reversal in the SDE's own time, such as reverse_sde, probability_flow or "
            f"ancestral; got one that runs from {reversal.start:g} to {reversal.stop:g}"
        )
    return replace(reversal, equation=_family(reversal.equation, sde, model, scale))


def _family(transport: Equation, sde: SDE, model: Model, scale: Callable[[Coefficient], Coefficient]) -> TargetFamily:
    def select(rows: Tensor) -> TargetFamily:
        return _family(select_rows(transport, rows), sde, select_rows(model, rows), scale)

    return TargetFamily(transport, lambda x, t: sde.score(model, x, t), scale, select=select, spacing=transport.spacing)
