r"""Markov chains that leave a density exactly invariant: random walk, MALA and Hamiltonian Monte Carlo.

Each step proposes x' and accepts it with probability min(1, e^a), so that detailed balance holds whatever the step size:

    random walk   x' = x + sqrt(2 h) z,                       a = log p(x') - log p(x)                            (1)
    MALA          x' = x + h s(x) + sqrt(2 h) z,              a as in (1) plus the ratio of the proposals' densities (2)
    Hamiltonian   L leapfrog steps of size sqrt(2 h) from momentum z,  a = H(x, z) - H(x', z')                     (3)

with h = |s - t| the step in time and s the score; (2) is (3) with L = 1. Noise and acceptance are the path's: normal
numbers are its increments brought to unit variance, and the uniform number is the normal distribution function of one
number of the path's first channel.

References:
    Roberts & Tweedie, Exponential convergence of Langevin distributions and their discrete approximations, 1996,
        https://doi.org/10.2307/3318418
    Neal, MCMC using Hamiltonian dynamics, 2011, https://arxiv.org/abs/1206.1901
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from torch import Tensor

from solvers.elementwise import axpy
from solvers.equations import Density
from solvers.method import Method, Order, noise


class Metropolis(Method):
    """A proposal with its acceptance. The density is invariant exactly: there is no order to wait for."""

    orders = {Density: Order(strong=None, weak=math.inf)}

    @abstractmethod
    def propose(self, equation: Density, x: Tensor, h: float, z: Tensor) -> tuple[Tensor, Tensor]:
        """A proposal (B, *E) from normal numbers z (B, *E), and a = log of its acceptance ratio, shape (B,)."""

    def step(self, equation, x, t, s, path, state):
        """Propose, and keep what is accepted; a proposal without a density is not."""
        assert path is not None
        h = float(abs(s - t))
        proposal, log_ratio = self.propose(equation, x, h, noise(path, t, s) / h**0.5)
        first = noise(path.channel(1), t, s).flatten(1)[:, 0] / h**0.5
        accept = torch.log(torch.special.ndtr(first)) < log_ratio
        return torch.where(accept.reshape(-1, *(1,) * (x.ndim - 1)), proposal, x), None


class RandomWalk(Metropolis):
    """Equation (1): two values of log p a step (no score)."""

    def propose(self, equation, x, h, z):
        """Symmetric: the ratio is that of the densities."""
        y = axpy(x, math.sqrt(2 * h), z)
        return y, equation.log_prob(y) - equation.log_prob(x)


class Hamiltonian(Metropolis):
    """Equation (3): leaps + 1 scores a step."""

    def __init__(self, leaps: int = 10):
        """`leaps` is L."""
        if leaps < 1:
            raise ValueError(f"Hamiltonian Monte Carlo takes at least one leap, got {leaps}; choose about 10")
        self.leaps = leaps
        self.evaluations = leaps + 1

    def propose(self, equation, x, h, z):
        """The leapfrog scheme preserves volume and is reversible: the ratio is that of the energies."""
        size = math.sqrt(2 * h)
        y, momentum, score = x, z, equation.score(x)
        for _ in range(self.leaps):
            momentum = axpy(momentum, size / 2, score)
            y = axpy(y, size, momentum)
            score = equation.score(y)
            momentum = axpy(momentum, size / 2, score)
        kinetic = (z.square() - momentum.square()).flatten(1).sum(1) / 2
        return y, equation.log_prob(y) - equation.log_prob(x) + kinetic


class MALA(Hamiltonian):
    """Equation (2), as one leap."""

    def __init__(self):
        """No setting but the step in time."""
        super().__init__(leaps=1)


EXAMPLES = [RandomWalk(), MALA(), Hamiltonian(4)]
