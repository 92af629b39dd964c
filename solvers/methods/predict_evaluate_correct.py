r"""Adams predictor-correctors that evaluate once a step: UniPC's scheme.

A step predicts with the explicit formula of k fields, evaluates there, and corrects with the implicit formula of k + 1
fields, which reuses that evaluation; the next step predicts from the corrected state. The correction raises the order by
one and costs no evaluation. The last state is a prediction: to correct it would take one evaluation more.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.8 (the PEC mode)
    Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2302.04867
    Xue et al., SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2309.05019
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from torch import Tensor

from solvers.equations import ODE, SemilinearODE, SemilinearSDE
from solvers.method import Method, Order, field
from solvers.methods.exponential_euler import convolution
from solvers.multistep import Row, adams_table, apply, moulton_table, rate


class Pending(NamedTuple):
    """The state before the last prediction, and what is needed to correct it."""

    predictors: Sequence[Row]
    correctors: Sequence[Row]
    row: int = 0
    before: Tensor | None = None
    fields: tuple[Tensor, ...] = ()
    noise: Tensor | None = None


class PredictEvaluateCorrect(Method):
    """The scheme of k fields, of order min(k + 1, 3): the start, by formulas of lower order, leaves an error of order 3.

    On the data form it is UniPC with exact integrals; on an ODE, the Adams-Bashforth-Moulton pair in PEC mode; on the data
    form with stochasticity, SA-Solver: the correction keeps the noise of the step that it corrects.
    """

    def __init__(self, k: int = 2):
        """k is the number of fields that the predictor combines, 1 to 5."""
        if not 1 <= k <= 5:
            raise ValueError(f"the predictor combines 1 to 5 fields, got {k}; choose 2 or 3")
        self.k = k
        order = Order.of(min(k + 1, 3))
        self.orders = {ODE: order, SemilinearODE: order, SemilinearSDE: Order(strong=1, weak=2)}

    def init(self, equation: Any, x: Tensor, grid: Sequence[float]) -> Pending:
        """Both tables of the whole grid."""
        return Pending(adams_table(grid, self.k, rate(equation)), moulton_table(grid, self.k, rate(equation)))

    def step(self, equation, x, t, s, path, state):
        """Evaluate at the prediction x, correct it, predict the next."""
        fields = (field(equation)(x, t), *state.fields)[: self.k + 1]
        if state.before is not None:
            x = apply(state.correctors[state.row - 1], state.before, fields)
            x = x if state.noise is None else x + state.noise
        y = apply(state.predictors[state.row], x, fields)
        moved = None if path is None else convolution(equation, t, s, path)
        after = state._replace(row=state.row + 1, before=x, fields=fields[: self.k], noise=moved)
        return (y if moved is None else y + moved), after


EXAMPLES = [PredictEvaluateCorrect(1), PredictEvaluateCorrect(2)]
