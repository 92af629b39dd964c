r"""Adams predictor-correctors that evaluate once a step: UniPC's scheme.

A step predicts with the explicit formula of k fields, evaluates there, and corrects with the implicit formula of k + 1
fields, which reuses that evaluation; the next step predicts from the corrected state. The correction raises the order by
one and costs no evaluation. The last state is a prediction: its error of order k + 1 is made once, where those of the
corrected steps, of order k + 2, add up over them all; to correct it as well would take an evaluation and raise nothing.

In the predicted states x_i this is one explicit formula. Let F_j be the fields at x_i, x_{i-1}, ..., p_j and e the
predictor of this step, p'_j and c_j the predictor and the corrector of the step before (p'_0 = 0). The corrected state
differs from x_i in the weights only, whatever the linear part and the noise of that step, hence

    corrected = x_i + sum_j (c_j - p'_j) F_j                                                                      (1)
    x_{i+1}   = e corrected + sum_j p_j F_j = e x_i + sum_j (e (c_j - p'_j) + p_j) F_j                             (2)

With noise the weak order is two for every k, also where the fields depend on the noise. An increment of standard deviation
sqrt(h) acts through the fields alone, with weights 0, w_1, w_2, ... in its own and the next steps, where it should have h/2, h, h, ...: what
is missing at first comes back in the steps after, on any grid, and the last few steps alone leave an error, of order h^2.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section III.8 (the PEC mode)
    Zhao et al., UniPC: A Unified Predictor-Corrector Framework for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2302.04867
    Xue et al., SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2309.05019
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import zip_longest
from typing import Any

from torch import Tensor

from solvers.equations import ODE, Equation, SemilinearODE, SemilinearSDE
from solvers.method import Method, OneStep, Order, field
from solvers.methods.dopri5 import Dopri5
from solvers.methods.exponential_euler import convolve
from solvers.methods.exponential_runge_kutta import ExponentialRungeKutta
from solvers.methods.rk4 import RK4
from solvers.multistep import TABLES, History, Row, adams_table, advance, moulton_table, rate


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

    @property
    def started(self) -> int:
        """How many steps the starter takes."""
        return 0 if self.starter is None else max(0, self.k - 2)

    def init(self, equation: Any, x: Tensor, grid: Sequence[float]) -> History:
        """The table (2) of the whole grid."""
        return History(_merged_table(tuple(grid), self.k, rate(equation), self.started))

    def step(self, equation, x, t, s, path, state):
        """Evaluate at the prediction x, correct it and predict the next, by (2)."""
        first = field(equation)(x, t)
        if state.row < self.started:
            assert self.starter is not None
            y = self.starter.finish_step(equation, x, t, s, first)
            return y, History(state.table, state.row + 1, (first, *state.fields))
        y, state = advance(x, first, state)
        return (y if path is None else convolve(y, equation, t, s, path)), state


@lru_cache(TABLES)
def _merged_table(grid: tuple[float, ...], k: int, rate: float, started: int) -> tuple[Row, ...]:
    return tuple(merged(adams_table(grid, k, rate), moulton_table(grid, k, rate), started))


def merged(predictors: Sequence[Row], correctors: Sequence[Row], started: int) -> Iterator[Row]:
    """The formulas (2), newest field first; the step after the started ones finds nothing to correct."""
    yield from predictors[: started + 1]
    steps = zip(predictors[started:], correctors[started:], predictors[started + 1 :], strict=False)
    for (_, before), (_, corrector), (factor, weights) in steps:
        terms = zip_longest(corrector, (0.0, *before), weights, fillvalue=0.0)
        yield factor, tuple(factor * (c - p) + w for c, p, w in terms)


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
