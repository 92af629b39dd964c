"""Exponential Adams methods with exact noise."""

from __future__ import annotations

from solvers.equations import SemilinearSDE
from solvers.method import Order
from solvers.methods.exponential_euler import convolve
from solvers.multistep import Multistep


class StochasticExponentialAdams(Multistep):
    """y_s = e^{a h} y_t + sum_j w_j F_j + spread(t, s) z: exponential Adams in the drift, the convolution of the noise exact.

    On the data form with stochasticity eta, k = 1 is SDE-DPM-Solver++(1), k = 2 its 2M and k = 3 its 3M variant with exact
    integrals; SA-Solver's predictor. The state is as rough as the noise, so more fields than two raise neither order;
    where the noise is small, they lower the error all the same.

    References:
        Lu et al., DPM-Solver++, 2022, https://arxiv.org/abs/2211.01095
        Xue et al., SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models, 2023,
            https://arxiv.org/abs/2309.05019
    """

    kind = SemilinearSDE

    def __init__(self, k: int = 2):
        """k is the number of fields that a step combines, 1 to 6."""
        super().__init__(k)
        self.orders = {SemilinearSDE: Order(strong=1, weak=min(k, 2))}

    def step(self, equation, x, t, s, path, state):
        """One evaluation, one increment."""
        y, state = super().step(equation, x, t, s, None, state)
        return convolve(y, equation, t, s, path), state


EXAMPLES = [StochasticExponentialAdams(1), StochasticExponentialAdams(2), StochasticExponentialAdams(3)]
