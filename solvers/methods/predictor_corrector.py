"""Predict with one method, correct with Langevin steps at the time reached."""

from __future__ import annotations

from solvers.elementwise import axpy, scale
from solvers.equations import TargetFamily
from solvers.method import Method, Order, noise
from solvers.methods.euler_maruyama import EulerMaruyama


class PredictorCorrector(Method):
    """A step of the predictor from t to s, then `corrections` steps of Langevin dynamics in the distribution at s:

        x <- x + e score(x, s) + sqrt(2 e) z,   e = 2 (snr scale(s))^2.

    Song et al. put |z|/|score|, averaged over the batch, in the place of scale(s), so that neighbours decide; a sample's
    own |z|/|score| would have no mean in few dimensions, for the score vanishes at every mode. Both estimate the noise
    level sigma(s), which is known. The corrector's noise comes from channels of the path, independent of the predictor's.
    The corrector keeps p_s up to a bias of order snr^2 that no grid removes, so that no order is declared beyond zero.

    References:
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, algorithms 4 and 5
    """

    orders = {TargetFamily: Order(strong=None, weak=0)}

    def __init__(self, predictor: Method, snr: float = 0.16, corrections: int = 1):
        """`snr` is the ratio of drift and noise in a correction."""
        if not (snr > 0 and corrections >= 1):
            raise ValueError(f"snr > 0 and corrections >= 1 are needed, got {snr} and {corrections}")
        self.predictor, self.snr, self.corrections = predictor, snr, corrections
        self.needs = predictor.needs
        self.evaluations = predictor.evaluations + corrections

    def init(self, equation, x, grid):
        """The predictor's state; refuses a transport that the predictor does not integrate."""
        if type(equation.transport) not in self.predictor.orders:
            name, kind = type(self.predictor).__name__, type(equation.transport).__name__
            raise TypeError(f"the predictor {name} does not integrate {kind}; choose one whose `orders` names it")
        return self.predictor.init(equation.transport, x, grid)

    def step(self, equation, x, t, s, path, state):
        """The predictor's evaluations and one a correction."""
        size = 2 * (self.snr * equation.scale(s)) ** 2
        assert path is not None
        own = path if equation.transport.stochastic else None
        x, state = self.predictor.step(equation.transport, x, t, s, own, state)
        for k in range(self.corrections):
            z = scale(1 / abs(s - t) ** 0.5, noise(path.channel(k + 1), t, s))
            x = axpy(axpy(x, size, equation.score(x, s)), (2 * size) ** 0.5, z)
        return x, state


EXAMPLES = [PredictorCorrector(EulerMaruyama())]
