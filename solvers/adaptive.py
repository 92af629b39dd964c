"""Deterministic equations to a tolerance instead of a number of steps, each sample of the batch at its own pace."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from solvers.adaptive_loop import (
    AdaptiveStepper,
    Interval,
    Solution,
    solve_adaptively,
)
from solvers.as_ode import as_ode
from solvers.equations import ODE, Equation, select_rows
from solvers.integrate import Solver, as_state, check
from solvers.method import Attempt, Embedded
from solvers.step_control import Controller, Tolerance
from solvers.wiener import WienerPath


@dataclass(frozen=True)
class Adaptive(Solver):
    """An embedded pair with a step size for each sample: `Adaptive.tol(Dopri5(), 1e-4)`.

    A sample's result depends on nobody else in the batch: error norm, controller, time and first step are its own. On a
    CPU it is the same to the bit in any batch, if the field is. The field is called with times of shape (B,), float64,
    and only with the samples that have not arrived. A `SemilinearODE` is integrated as a whole.

    The time variable matters less than for a fixed grid: log(sigma/alpha), sigma/(alpha + sigma) and VP time
    are cheap, sigma itself is not. In float32 the rounding of the state limits what can be had: tolerances below about
    1e-6 only cost steps. Gradients pass through the accepted steps; step sizes are constants to them.

    Args:
        method: an embedded pair, such as `Dopri5`, `Tsit5` or `Bosh3` (the last for errors above about 1e-3).
        rtol, atol: a step's error may be atol + rtol |x| in the root mean square over a sample's numbers.
        max_attempts: of one sample, before an ArithmeticError.

    Raises:
        TypeError: a method that does not estimate its error.
        ValueError: a tolerance out of range.

    References:
        Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.4
    """

    method: Embedded
    rtol: float = 1e-4
    atol: float = 1e-4
    max_attempts: int = 10_000

    def __post_init__(self) -> None:
        if not isinstance(self.method, Embedded):
            raise TypeError(f"Adaptive needs a method that estimates its error, got {self.method!r}; take Dopri5()")
        Tolerance(self.rtol, self.atol)

    @classmethod
    def tol(cls, method: Embedded, tol: float) -> Self:
        """One number for both tolerances."""
        return cls(method, tol, tol)

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
            TypeError: a stochastic or unknown equation, noise, or a state that is not floating point.
            ValueError: times or a state that are not finite.
            FloatingPointError: the field is not finite at the start.
            ArithmeticError: a step fell below rounding, or a sample has not arrived after `max_attempts`.
        """
        ode = as_ode(equation, "Adaptive")
        check(self.method, ode, noise)
        x = as_state(x)
        interval = Interval(float(start), float(stop), Tolerance(self.rtol, self.atol), self.max_attempts)
        return solve_adaptively(_Deterministic(self.method, ode), x, interval)


class _Deterministic(AdaptiveStepper):
    """An embedded method on an ODE."""

    def __init__(self, method: Embedded, equation: ODE) -> None:
        self.method, self.equation = method, equation
        self.controller, self.evaluations = Controller(method.estimate), method.evaluations

    def keep(self, rows: Tensor) -> _Deterministic:
        return type(self)(self.method, select_rows(self.equation, rows))

    def attempt(self, x: Tensor, t: Tensor, s: Tensor, first: Tensor) -> Attempt:
        return self.method.attempt(self.equation, x, t, s, first)
