r"""Adams predictor-correctors that evaluate once a step: UniPC's scheme.

A step predicts with the explicit formula of k fields, evaluates there, and corrects with the implicit formula of k + 1
fields, which reuses that evaluation; the next step predicts from the corrected state. The correction raises the order by
one and costs no evaluation. The last state is a prediction: to correct it would take one evaluation more.

In the predicted states x_i this is one explicit formula. Let F_j be the fields at x_i, x_{i-1}, ..., p_j and e the
predictor of this step, p'_j and c_j the predictor and the corrector of the step before (p'_0 = 0). The corrected state
differs from x_i in the weights only, whatever the linear part and the noise of that step, hence

    corrected = x_i + sum_j (c_j - p'_j) F_j                                                                      (1)
    x_{i+1}   = e corrected + sum_j p_j F_j = e x_i + sum_j (e (c_j - p'_j) + p_j) F_j                             (2)

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.8 (the PEC mode)
    Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2302.04867
    Xue et al., SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2309.05019
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Any

from torch import Tensor

from solvers.equations import ODE, SemilinearODE, SemilinearSDE
from solvers.method import Method, Order, field
from solvers.methods.exponential_euler import convolve
from solvers.multistep import History, Row, adams_table, advance, moulton_table, rate


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

    def init(self, equation: Any, x: Tensor, grid: Sequence[float]) -> History:
        """The table (2) of the whole grid."""
        predictors = adams_table(grid, self.k, rate(equation))
        return History(list(merged(predictors, moulton_table(grid, self.k, rate(equation)))))

    def step(self, equation, x, t, s, path, state):
        """Evaluate at the prediction x, correct it and predict the next, by (2)."""
        y, state = advance(x, field(equation)(x, t), state)
        return (y if path is None else convolve(y, equation, t, s, path)), state


def merged(predictors: Sequence[Row], correctors: Sequence[Row]) -> Iterator[Row]:
    """The formulas (2), newest field first; the first step corrects nothing."""
    yield predictors[0]
    for (_, before), (_, corrector), (factor, weights) in zip(predictors, correctors, predictors[1:], strict=False):
        terms = zip_longest(corrector, (0.0, *before), weights, fillvalue=0.0)
        yield factor, tuple(factor * (c - p) + w for c, p, w in terms)


EXAMPLES = [PredictEvaluateCorrect(1), PredictEvaluateCorrect(2)]
