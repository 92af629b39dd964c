"""Deterministic equations by torchdiffeq's adaptive integrators.

Two of its habits are changed here. It steps past the end and interpolates back, and so evaluates the field at times outside
the span, where a noise level may be negative: its `step_t` option ends a step at `stop`. And it raises AssertionError at a step that fell
below rounding.

References:
    Chen, Rubanova, Bettencourt & Duvenaud, Neural Ordinary Differential Equations, 2018,
        https://arxiv.org/abs/1806.07366, and https://github.com/rtqichen/torchdiffeq
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from solvers.as_ode import as_ode
from solvers.backends.names import check_name
from solvers.backends.scipy import Solution
from solvers.equations import ODE, Equation
from solvers.integrate import Solver, as_state, check_path
from solvers.wiener import WienerPath

METHODS = ("dopri8", "dopri5", "bosh3", "adaptive_heun")
"""Its adaptive integrators but fehlberg2, whose error is hundreds of times the tolerance on a linear decay."""


@dataclass(frozen=True)
class Torchdiffeq(Solver):
    """An `ODE` or a `SemilinearODE`, stepped by `torchdiffeq.odeint` until its error estimate is within bounds.

    The batch is coupled: one step size and one error norm, a root mean square over all samples. A sample's result
    depends, within the tolerance, on the others in its batch; `solvers.adaptive.Adaptive` decouples them. The state
    stays on its device and in its dtype; the field is called with a float, which torchdiffeq rounds to the dtype of the
    state. Gradients pass through the solve.

    Args:
        method: one of dopri8, dopri5, bosh3, adaptive_heun.
        rtol, atol: an error of atol + rtol |x| is allowed in each number and step, in the mean square.

    Raises:
        ValueError: an unknown method, or a tolerance out of range.
    """

    method: str = "dopri5"
    rtol: float = 1e-6
    atol: float = 1e-6

    def __post_init__(self) -> None:
        check_name("torchdiffeq's adaptive integrators", self.method, METHODS)
        if not (0 <= self.rtol < math.inf and 0 <= self.atol < math.inf and self.rtol + self.atol > 0):
            raise ValueError(
                f"torchdiffeq needs rtol >= 0 and atol >= 0, not both 0, got {self.rtol} and {self.atol}; "
                "begin with 1e-6 for both"
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
            ImportError: torchdiffeq is not installed.
            TypeError: a stochastic or unknown equation, noise, or a state that is not floating point.
            ValueError: times or a state that are not finite.
            ArithmeticError: the field is not finite, or the step size fell below rounding.
        """
        counted = _Counted(as_ode(equation, "torchdiffeq"))
        check_path(equation, noise)
        x = as_state(x)
        if not (math.isfinite(start) and math.isfinite(stop)):
            raise ValueError(
                f"torchdiffeq integrates between finite times, got {start} and {stop}; stop at a finite one"
            )
        odeint = _engine().odeint
        if start == stop or not x.numel():
            return Solution(x, 0)
        times = torch.tensor([start, stop], dtype=torch.float64, device=x.device)
        options = {"step_t": times[1:]}
        try:
            states = odeint(counted, x, times, rtol=self.rtol, atol=self.atol, method=self.method, options=options)
        except AssertionError as failure:
            raise ArithmeticError(
                f"torchdiffeq's {self.method} did not reach t = {stop:g}: {str(failure)[:60]}; loosen the tolerances, or stop "
                "short of a time at which the field is singular"
            ) from failure
        return Solution(states[-1], counted.calls)


class _Counted:
    """A field as torchdiffeq calls it, counting its calls."""

    def __init__(self, equation: ODE) -> None:
        self.equation, self.calls = equation, 0

    def __call__(self, t: Tensor, x: Tensor) -> Tensor:
        self.calls += 1
        return self.equation.drift(x, t.detach().item())


def _engine() -> Any:
    try:
        import torchdiffeq
    except ImportError as missing:
        raise ImportError(
            "Torchdiffeq needs the package torchdiffeq, which is not installed; pip install torchdiffeq, or take "
            "Adaptive(Dopri5()), which needs nothing more"
        ) from missing
    return torchdiffeq
