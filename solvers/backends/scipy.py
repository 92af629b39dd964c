"""Deterministic equations by scipy's adaptive integrators.

References:
    scipy.integrate.solve_ivp, https://docs.scipy.org/doc/scipy/reference/generated/scipy.integrate.solve_ivp.html
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, sections II.4 and II.5
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from solvers.backends.names import check_name
from solvers.elementwise import axpy
from solvers.equations import ODE, Equation, SemilinearODE
from solvers.integrate import Solver, as_state, check_path
from solvers.wiener import WienerPath

METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
SHARPEST = 100 * float(np.finfo(np.float64).eps)
"""The smallest relative tolerance that scipy honours."""

Slope = Callable[[Tensor, float], Tensor]


class Solution(NamedTuple):
    """The state at the end, shape (B, *E), and how often the slope was evaluated for the whole batch."""

    state: Tensor
    evaluations: int


@dataclass(frozen=True)
class Scipy(Solver):
    """An `ODE` or a `SemilinearODE`, stepped by `scipy.integrate.solve_ivp` until its error estimate is within bounds.

    The batch is coupled: scipy sees one vector of B x E numbers, with one step size and one error norm, a root mean
    square over all of them. A sample's result therefore depends, within the tolerance, on the others in its batch, and
    one hard sample shortens the steps of all.

    The state is kept in float64 on the CPU; the slope gets it in the caller's dtype and on the caller's device, and the
    result returns there. A slope in float32 is not smooth below about 1e-6: tolerances beneath that only cost steps.
    Gradients do not pass. `Radau`, `BDF` and `LSODA` form a matrix of (B x E)^2 numbers: small problems only.

    Args:
        method: one of RK23, RK45, DOP853, Radau, BDF, LSODA.
        rtol, atol: an error of atol + rtol |x| is allowed in each number and step, in the mean square.

    Raises:
        ValueError: an unknown method, or a tolerance out of range.
    """

    method: str = "DOP853"
    rtol: float = 1e-6
    atol: float = 1e-6

    def __post_init__(self) -> None:
        check_name("scipy", self.method, METHODS)
        if not (self.rtol >= SHARPEST and self.atol >= 0):
            raise ValueError(
                f"scipy needs rtol >= {SHARPEST:.1e} and atol >= 0, got {self.rtol} and {self.atol}; loosen them"
            )

    def __call__(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Tensor:
        """The state of `solve`, which says what is refused."""
        return self.solve(equation, x, start, stop, noise).state

    def solve(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Solution:
        """The state at `stop` from x (B, *E) at `start`, in either direction, and the number of evaluations.

        Raises:
            TypeError: a stochastic or unknown equation, noise, or a state that is not floating point.
            ValueError: times that are not finite, or a state that is not finite or requires gradients.
            FloatingPointError: the slope is not finite.
            ArithmeticError: the step size fell below rounding.
        """
        slope = _slope(equation)
        check_path(equation, noise)
        x = as_state(x)
        _check_reach(x, start, stop)
        if start == stop or not x.numel():
            return Solution(x, 0)
        with torch.no_grad():
            return self._solve(_Flat(slope, x), x, start, stop)

    def _solve(self, flat: _Flat, x: Tensor, start: float, stop: float) -> Solution:
        from scipy.integrate import solve_ivp

        begin = _numbers(x)
        found = solve_ivp(flat, (start, stop), begin, self.method, t_eval=[stop], rtol=self.rtol, atol=self.atol)
        if not found.success:
            raise ArithmeticError(
                f"scipy's {self.method} did not reach t = {stop:g}: {found.message} Loosen the tolerances, stop short "
                "of a singular time, or choose Radau for a stiff equation"
            )
        return Solution(torch.from_numpy(found.y[:, -1].copy()).to(x).reshape(x.shape), flat.evaluations)


class _Flat:
    """A slope as scipy calls it: from and to vectors of float64, counting its calls."""

    def __init__(self, slope: Slope, x: Tensor) -> None:
        self.slope, self.x, self.evaluations = slope, x, 0

    def __call__(self, t: float, state: np.ndarray) -> np.ndarray:
        self.evaluations += 1
        at = torch.from_numpy(state).to(self.x).reshape(self.x.shape)
        answer = _numbers(self.slope(at, float(t)))
        if not np.isfinite(answer).all():
            raise FloatingPointError(f"the slope returned NaN or infinity at t = {t:g}; look at the equation there")
        return answer


def _numbers(x: Tensor) -> np.ndarray:
    return x.detach().to("cpu", torch.float64).reshape(-1).numpy()


def _slope(equation: Equation) -> Slope:
    if isinstance(equation, ODE):
        return equation.drift
    if isinstance(equation, SemilinearODE):
        return lambda y, t: axpy(equation.forcing(y, t), equation.rate, y)
    raise TypeError(
        f"scipy integrates an ODE or a SemilinearODE, got {type(equation).__name__}; "
        "take the deterministic form, or Torchsde or FixedGrid for a stochastic one"
    )


def _check_reach(x: Tensor, start: float, stop: float) -> None:
    if not (math.isfinite(start) and math.isfinite(stop)):
        raise ValueError(f"scipy integrates between finite times, got {start} and {stop}; stop at a finite one")
    if x.requires_grad and torch.is_grad_enabled():
        raise ValueError("gradients do not pass through scipy, and the state wants them; pass x.detach()")
