r"""Sequential Monte Carlo over the steps of a stochastic method, whatever the method.

A method's step with additive noise ends in x_s = mean + tau n, n ~ N(0, I). When it is taken with another field than that
of the process whose paths are to be weighted, the ratio of the two transitions is, delta = mean - free mean,

    log w += (|n|^2 - |n + delta/tau|^2) / 2,                                                                       (1)

Girsanov's formula in discrete time. The free mean is the method's own step with the free field and without noise: a
multistep method keeps a second history, of free fields along the same path, so that (1) holds for methods of any order.
What else a path gains or loses, such as the growth of a twist, is a `Weighting`'s.

The equation is made of an `Oracle`, which stands for the denoiser: it is asked once a step. The step, the history of the
method and the weights then all come from that one answer.

References:
    Wu et al., Practical and Asymptotically Exact Conditional Sampling in Diffusion Models, 2023,
        https://arxiv.org/abs/2306.17775, algorithm 1 ((1) for the ancestral step)
    Naesseth, Lindsten & Schon, Elements of Sequential Monte Carlo, 2019, https://arxiv.org/abs/1903.04797, section 3.2
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from solvers.elementwise import Coefficient, axpy
from solvers.equations import ItoSDE, MarkovChain, SemilinearSDE
from solvers.integrate import check
from solvers.method import Method
from solvers.methods.ancestral import Ancestral
from solvers.methods.euler_maruyama import EulerMaruyama
from solvers.methods.exponential_euler import ExponentialEuler
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams
from solvers.particles.sets import Particles, ParticleSets
from solvers.stepwise import Oracle, answered, first_question
from solvers.wiener import WienerPath

ADDITIVE = (EulerMaruyama, Ancestral, ExponentialEuler, StochasticExponentialAdams)
"""Methods that ask once a step and add the step's noise to what they computed without it."""


class Look(NamedTuple):
    """What is known at a state from one call of the denoiser.

    Attributes:
        answer: what the step is taken with, shape (B, *E).
        free: the answer of the process whose paths are weighted; None where (1) has no place in the weight.
        gain: what the log-weights gain here, float64, shape (B,).
        memory: kept for the next look, with its particle: a tensor (B, ...) or a tuple of them.
    """

    answer: Tensor
    free: Tensor | None
    gain: Tensor
    memory: Any


class Weighting(ABC):
    """What the paths are weighted with, beside equation (1)."""

    @abstractmethod
    def look(self, question: tuple[Any, ...], memory: Any) -> Look:
        """At the state of a step, which asks the denoiser `question`; `memory` is that of the look before, None at first."""

    @abstractmethod
    def last(self, question: tuple[Any, ...], memory: Any) -> Look:
        """At the end of the path, whose `answer` is the sample."""


class Outcome(NamedTuple):
    """Draws of equal weight, and what each set says of itself.

    Attributes:
        x: shape (B, *E).
        log_evidence: log Z of each set, shape (S,).
        lowest_ess: the lowest effective number of a set on its way, as a share of its size, shape (S,).
        ancestors: how many of the first particles have a descendant, of each set, shape (S,).
    """

    x: Tensor
    log_evidence: Tensor
    lowest_ess: Tensor
    ancestors: Tensor


class _Kept(NamedTuple):
    """What travels with a particle: the last look, and the two histories of the method."""

    memory: Any
    state: Any
    free_state: Any
    answer: Tensor | None = None
    free: Tensor | None = None


def weighted_paths(
    method: Method,
    equation: Any,
    oracle: Oracle,
    finish: Callable[[Tensor], Tensor],
    x: Tensor,
    times: Sequence[float],
    path: WienerPath,
    sets: ParticleSets,
    weighting: Weighting,
) -> Outcome:
    """Particles from x (B, *E) at times[0] along the grid, resampled where their weights call for it and at the end.

    Args:
        equation: made of the oracle, with noise in every step.
        finish: from the last state to the sample; it asks the oracle once.
        path: keyed noise: a slot goes on with its own after a resampling.

    Raises TypeError for a method that is none of ADDITIVE or an equation without additive noise, ValueError for a step
    without noise.
    """
    check_weighted(method, equation, times)
    loop = _Loop(method, equation, oracle, path, sets, weighting)
    state = method.init(equation, x, times)
    particles = sets.begin(x, _Kept(None, state, state))
    for index, (t, s) in enumerate(pairwise(times)):
        particles = loop.move(sets.resample(loop.look(particles, t, s), index), t, s)
    return loop.end(particles, finish, len(times) - 1)


@dataclass(frozen=True)
class _Loop:
    method: Method
    equation: Any
    oracle: Oracle
    path: WienerPath
    sets: ParticleSets
    weighting: Weighting

    def look(self, particles: Particles, t: float, s: float) -> Particles:
        """The weights at t, and the answers with which the step to s is taken."""
        kept = particles.kept
        question = first_question(self.oracle, partial(self._mean, particles.x, t, s, kept.state))
        found = self.weighting.look(question, kept.memory)
        kept = kept._replace(memory=found.memory, answer=found.answer, free=found.free)
        return self.sets.weigh(replace(particles, kept=kept), found.gain)

    def move(self, particles: Particles, t: float, s: float) -> Particles:
        """The particles at s, each with its own noise, and equation (1)."""
        x, kept = particles.x, particles.kept
        mean, state = answered(self.oracle, kept.answer, partial(self._mean, x, t, s, kept.state))
        increment, length = self.path.increment(t, s), abs(s - t) ** 0.5
        size = amplitude(self.equation, t, s)
        moved = replace(particles, x=axpy(mean, size, increment), kept=kept._replace(state=state))
        if kept.free is None:
            return moved
        free, free_state = answered(self.oracle, kept.free, partial(self._mean, x, t, s, kept.free_state))
        gain = log_ratio(increment / length, (mean - free) / (size * length))
        return self.sets.weigh(replace(moved, kept=moved.kept._replace(free_state=free_state)), gain)

    def end(self, particles: Particles, finish: Callable[[Tensor], Tensor], step: int) -> Outcome:
        """The last weights, a resampling of all sets, and the samples."""
        question = first_question(self.oracle, partial(finish, particles.x))
        found = self.weighting.last(question, particles.kept.memory)
        x = answered(self.oracle, found.answer, partial(finish, particles.x))
        last = self.sets.resample_all(self.sets.weigh(replace(particles, x=x, kept=None), found.gain), step)
        table = last.ancestors.reshape(-1, self.sets.size).sort(1).values
        return Outcome(last.x, last.log_evidence, last.lowest_ess, 1 + (table.diff(dim=1) > 0).sum(1))

    def _mean(self, x: Tensor, t: float, s: float, state: Any) -> tuple[Tensor, Any]:
        return self.method.step(self.equation, x, t, s, NoNoise(x), state)


class NoNoise(WienerPath):
    """The path that stays at 0: a step along it is the step's mean."""

    def __init__(self, x: Tensor) -> None:
        self.x = x

    def increment(self, t: Any, s: Any) -> Tensor:
        """0, shape (B, *E)."""
        return torch.zeros_like(self.x)

    def channel(self, k: int) -> NoNoise:
        """Itself."""
        return self


def amplitude(equation: Any, t: float, s: float) -> Coefficient:
    """tau/|s - t|^(1/2): what a step multiplies the increment of the path by."""
    if isinstance(equation, ItoSDE):
        return equation.diffusion(t)
    return equation.spread(t, s) / abs(s - t) ** 0.5


def log_ratio(n: Tensor, shift: Tensor) -> Tensor:
    """Equation (1) with shift = delta/tau, float64, shape (B,)."""
    n, shift = n.flatten(1).double(), shift.flatten(1).double()
    return -(n * shift).sum(1) - shift.square().sum(1) / 2


def check_weighted(method: Any, equation: Any, times: Sequence[float]) -> None:
    """Raises TypeError or ValueError for steps whose transitions have no density that (1) knows."""
    if not isinstance(method, ADDITIVE) or not isinstance(equation, ItoSDE | SemilinearSDE | MarkovChain):
        raise TypeError(
            f"particles need a method that asks once a step and adds its noise, got {type(method).__name__} on "
            f"{type(equation).__name__}; take StochasticExponentialAdams(2) on data_form(sde, denoiser, eta=1), the sampler "
            "dpmpp_2m_sde"
        )
    check(method, equation, NoNoise(torch.zeros(1)))
    if not all(float(amplitude(equation, t, s)) > 0 for t, s in pairwise(times)):
        raise ValueError("particles need noise in every step, got a step without; take eta > 0 at all noise levels")
