"""Ancestral sampling: one transition of a Markov chain a step."""

from __future__ import annotations

from solvers.elementwise import axpy
from solvers.equations import MarkovChain
from solvers.method import Method, Order, noise


class Ancestral(Method):
    """x_s = mean(x_t, t, s) + spread(t, s) z, with z the path's increment brought to unit variance.

    The chain is exact in itself; as its grid is refined it converges to the diffusion that it discretises, strongly and
    weakly with order 1.

    References:
        Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, algorithm 2
    """

    orders = {MarkovChain: Order(strong=1, weak=1)}

    def step(self, equation, x, t, s, path, state):
        """One evaluation of the chain's mean."""
        deviation = equation.spread(t, s) / abs(s - t) ** 0.5
        return axpy(equation.mean(x, t, s), deviation, noise(path, t, s)), None
