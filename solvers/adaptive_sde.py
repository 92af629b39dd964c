r"""Stochastic equations to a tolerance: a rejected step evaluates the same Brownian path at a nearer time.

The pair. With dW = W(s) - W(t), h = s - t, both formulas on one increment (the Euler-Maruyama step is Heun's predictor):

    x*  = x_t + h drift(x_t, t) + g(t) dW
    x_s = x_t + h/2 (drift(x_t, t) + drift(x*, s)) + (g(t) + g(s))/2 dW,        e = x_s - x*,                      (1)

e of order h^(3/2), and zero where the drift and g do not change: then both are exact.

Why nothing is redrawn. A step is rejected when its increment was large. Drawing a new one for the shorter step drops
that and keeps the small increments only: the noise is no longer Gaussian, the variance of the result too small (by 14%
for dx = -x dt + dW on [0, 1] at a tolerance of 0.03). Here the path is a function of (seed, sample, t), fixed before the first
step; how its times are chosen, even by looking at it, changes nothing in it. A method whose strong order on a fixed grid
comes from the increments alone, such as (1) with additive noise, then converges path by path for every such choice.

Where steps may end. A `WienerTree` is a Wiener process, exactly, at the ends of its leaves, which lie at the distances

    d = k 2^-l T from the nearer end of the span T, k an integer of R + 1 binary digits, 2^R the tree's max_steps.   (2)

Every attempt ends at such a time (or at `stop`): the increments that the solver gets have the exact distribution, to rounding, however
often the path was evaluated. A step shorter than about d/2^(R + 1) cannot be had.

References:
    Gaines & Lyons, Variable step size control in the numerical solution of stochastic differential equations, 1997,
        https://doi.org/10.1137/S0036139995286515
    Foster & Jelincic, On the convergence of adaptive approximations for stochastic differential equations, 2023,
        https://arxiv.org/abs/2311.14201
    Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 1992, sections 10.2 and 15.1 (the pair)
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from solvers.adaptive_loop import (
    AdaptiveStepper,
    Interval,
    Solution,
    solve_adaptively,
)
from solvers.dyadic_tree import DEEPEST, DyadicTree
from solvers.elementwise import axpy
from solvers.equations import Equation, ItoSDE, select_rows
from solvers.integrate import Solver, as_state, check_path
from solvers.method import Attempt
from solvers.step_control import Controller, Tolerance
from solvers.wiener import WienerPath


@dataclass(frozen=True)
class AdaptiveSDE(Solver):
    """Stochastic Heun with Euler-Maruyama inside, a step size for each sample: `AdaptiveSDE.tol(1e-2)`.

    For an `ItoSDE` (additive noise) on a `WienerTree`. Pathwise: as the tolerances fall, each sample converges to the
    solution on its own path, the one that any fixed grid on the same tree converges to. A sample's result depends on
    nobody else in the batch. The path is evaluated at times of shape (B,), which costs it more than a time for all.

    Args:
        rtol, atol: a step's error may be atol + rtol |x| in the root mean square over a sample's numbers.
        max_attempts: of one sample, before an ArithmeticError.

    Raises:
        ValueError: a tolerance out of range.
    """

    rtol: float = 1e-2
    atol: float = 1e-2
    max_attempts: int = 100_000

    def __post_init__(self) -> None:
        Tolerance(self.rtol, self.atol)

    @classmethod
    def tol(cls, tol: float) -> AdaptiveSDE:
        """One number for both tolerances."""
        return cls(tol, tol)

    def __call__(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Tensor:
        """The state of `solve`, which says what is refused."""
        return self.solve(equation, x, start, stop, noise).x

    def solve(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Solution:
        """The states at `stop` from x (B, *E) at `start`, in either direction, and what each of them took.

        Raises:
            TypeError: another equation, no noise, a path that is not a `WienerTree`, or a state that is not floating point.
            ValueError: times or a state that are not finite, or times beyond the path's.
            FloatingPointError: the drift is not finite at the start.
            ArithmeticError: a step fell below what the tree resolves, or a sample has not arrived after `max_attempts`.
        """
        stepper = _additive_on_tree(equation, noise)
        x = as_state(x)
        interval = Interval(float(start), float(stop), Tolerance(self.rtol, self.atol), self.max_attempts)
        return solve_adaptively(stepper, x, interval)


class EulerHeun(AdaptiveStepper):
    """Equation (1) on the paths of some samples."""

    controller = Controller(exponent=1.5, memory=0.3, trend=0.0)
    evaluations = 2
    adds_up = 2.0
    resolution = (
        "the tree knows its path exactly only at steps of about 1/(2 max_steps) of the distance to the nearer end; "
        "loosen the tolerances, or construct the WienerTree with more max_steps"
    )

    def __init__(self, equation: ItoSDE, tree: DyadicTree) -> None:
        """The tree's samples are those of the states."""
        self.equation, self.tree = equation, tree

    def attempt(self, x: Tensor, t: Tensor, s: Tensor, first: Tensor) -> Attempt:
        """One increment, and one evaluation beyond `first`."""
        h, dw = s - t, self.tree.increment(t, s)
        before, after = self.equation.diffusion(t), self.equation.diffusion(s)
        euler = axpy(axpy(x, h, first), before, dw)
        turn = self.equation.drift(euler, s) - first
        error = axpy((h / 2).reshape(-1, *(1,) * (x.ndim - 1)).to(x) * turn, (after - before) / 2, dw)
        return Attempt(euler + error, error, None)

    def keep(self, rows: Tensor) -> EulerHeun:
        """The same paths, fewer of them: a path belongs to the sample's number, not to its place."""
        spec = replace(self.tree.spec, indices=self.tree.spec.indices[rows])
        return type(self)(select_rows(self.equation, rows), type(self.tree)(spec, self.tree.max_steps))

    def land(self, s: Tensor) -> Tensor:
        """The nearest times of (2)."""
        start, stop = self.tree.spec.start, self.tree.spec.stop
        from_start = (s - start) / (stop - start)
        near = from_start < 0.5
        distance = torch.where(near, from_start, 1 - from_start)
        digits = (self.tree.max_steps - 1).bit_length() + 1
        level = (digits - torch.frexp(distance).exponent).clamp(max=DEEPEST)
        distance = torch.ldexp(torch.ldexp(distance, level).round(), -level)
        return torch.where(near, start + distance * (stop - start), stop - distance * (stop - start))


def _additive_on_tree(equation: Equation, noise: WienerPath | None) -> EulerHeun:
    if not isinstance(equation, ItoSDE):
        raise TypeError(
            f"AdaptiveSDE integrates an ItoSDE, whose noise is additive, got {type(equation).__name__}; "
            "take Adaptive for a deterministic equation, FixedGrid for any other"
        )
    check_path(equation, noise)
    if not isinstance(noise, DyadicTree):
        raise TypeError(
            f"a rejected step needs the same path at a nearer time, and {type(noise).__name__} would give other "
            "noise, which biases the result; pass a WienerTree"
        )
    return EulerHeun(equation, noise)
