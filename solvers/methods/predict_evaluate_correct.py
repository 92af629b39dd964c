r"""Adams predictor-correctors that evaluate once a step: UniPC's scheme.

A step predicts with the explicit formula of k fields, evaluates there, and corrects with the implicit formula of k + 1
fields, which reuses that evaluation; the next step predicts from the corrected state. The correction raises the order by
one and costs no evaluation. The last state is a prediction: its error of order k + 1 is made once, where those of the
corrected steps, of order k + 2, add up over them all; to correct it as well would take an evaluation and raise nothing.

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

from solvers.equations import ODE, Equation, SemilinearODE, SemilinearSDE
from solvers.method import Method, OneStep, Order, field
from solvers.methods.dopri5 import Dopri5
from solvers.methods.exponential_euler import convolution
from solvers.methods.exponential_runge_kutta import ExponentialRungeKutta
from solvers.methods.rk4 import RK4
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
    """The scheme of k fields, of order k + 1 if its start allows.

    On the data form it is UniPC with exact integrals; on an ODE, the Adams-Bashforth-Moulton pair in PEC mode; on the data
    form with stochasticity, SA-Solver: the correction keeps the noise of the step that it corrects.

    The first k - 2 steps are taken by `starter`, a one-step method of order k or more for a deterministic equation, or,
    without one, by the formulas of lower order, of which the first corrects Euler's step to order two: then the start
    costs nothing more, and leaves an error of order three.
    """

    def __init__(self, k: int = 2, starter: OneStep | None = None):
        """k is the number of fields that the predictor combines, 1 to 5."""
        if not 1 <= k <= 5:
            raise ValueError(f"the predictor combines 1 to 5 fields, got {k}; choose 2 or 3")
        self.k, self.starter = k, starter
        self.orders = _orders(k, starter)

    def init(self, equation: Any, x: Tensor, grid: Sequence[float]) -> Pending:
        """Both tables of the whole grid."""
        return Pending(adams_table(grid, self.k, rate(equation)), moulton_table(grid, self.k, rate(equation)))

    def step(self, equation, x, t, s, path, state):
        """Evaluate at the prediction x, correct it, predict the next."""
        fields = (field(equation)(x, t), *state.fields)[: self.k + 1]
        if state.before is not None:
            x = apply(state.correctors[state.row - 1], state.before, fields)
            x = x if state.noise is None else x + state.noise
        if self.starter is not None and state.row < self.k - 2:
            y = self.starter.onward(equation, x, t, s, fields[0])
            return y, state._replace(row=state.row + 1, fields=fields)
        y = apply(state.predictors[state.row], x, fields)
        moved = None if path is None else convolution(equation, t, s, path)
        after = state._replace(row=state.row + 1, before=x, fields=fields[: self.k], noise=moved)
        return (y if moved is None else y + moved), after


def _orders(k: int, starter: OneStep | None) -> dict[type[Equation], Order]:
    """A started scheme has the order of its formulas or one more than its starter's; one without, at most order 3."""
    if starter is None:
        order = Order.of(min(k + 1, 3))
        return {ODE: order, SemilinearODE: order, SemilinearSDE: Order(strong=1, weak=2)}
    kinds = [kind for kind in (ODE, SemilinearODE) if kind in starter.orders]
    if not kinds:
        name = type(starter).__name__
        raise TypeError(f"the starter {name} integrates neither ODE nor SemilinearODE; choose one that does, as RK4()")
    return {kind: Order.of(min(k + 1, starter.orders[kind].weak + 1)) for kind in kinds}


EXAMPLES = [
    PredictEvaluateCorrect(1),
    PredictEvaluateCorrect(2),
    PredictEvaluateCorrect(3, RK4()),
    PredictEvaluateCorrect(4, Dopri5()),
    PredictEvaluateCorrect(3, ExponentialRungeKutta(3)),
    PredictEvaluateCorrect(4, ExponentialRungeKutta(4)),
]
