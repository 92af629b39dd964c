r"""Stochastic equations by torchsde, on our paths and in either direction of time.

torchsde takes a state of shape (B, n), ascending times, and steps of one length dt, whose times it adds up: rounded,
N dt is not the end, and a path is evaluated beside the grid, or a step of 1e-16 is added. So it is given the index of the
step as its time: u = 0, 1, ..., N in exact steps of one. With t = start + h u and h = (stop - start)/N of either sign,

    dx = drift dt + diffusion dW   becomes   dx = h drift du + sqrt|h| diffusion dV,   V = W/sqrt|h|,              (1)

where V(u') - V(u) = (W(t') - W(t))/sqrt|h| keeps the sign that our convention gives it: W(t') - W(t) is the signed
increment from the time of the step's beginning, in either direction of time, so that only the drift changes sign.

References:
    Li, Wong, Chen & Duvenaud, Scalable Gradients for Stochastic Differential Equations, 2020,
        https://arxiv.org/abs/2001.01328, and https://github.com/google-research/torchsde
    Kloeden & Platen, Numerical Solution of Stochastic Differential Equations, 1992 (Ito and Stratonovich, section 4.9)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor

from solvers.backends.names import check_name
from solvers.elementwise import scale
from solvers.equations import DiagonalSDE, Equation, ItoSDE
from solvers.grids import uniform
from solvers.integrate import Solver, as_state, check_path
from solvers.torchsde_path import AsTorchsde
from solvers.wiener import AreaPath, WienerPath

ITO = ("euler", "milstein", "srk")
STRATONOVICH = ("euler_heun", "heun", "midpoint", "reversible_heun")


@dataclass(frozen=True)
class Torchsde(Solver):
    """An `ItoSDE` or a `DiagonalSDE` in `steps` equal steps of a method of `torchsde.sdeint`.

    Every kind of noise is given to torchsde as diagonal, so that nothing larger than the state is formed; `srk` then
    takes ten evaluations a step. `sdeint` evaluates the equation once more at the start, to check its shapes. With
    additive noise the senses of Ito and of Stratonovich agree and every method serves; a `DiagonalSDE` is meant in the
    sense of Ito and takes `euler`, `milstein` or `srk`. Gradients pass through the solve.

    Args:
        method: euler, milstein or srk; euler_heun, heun, midpoint or reversible_heun for additive noise.
        steps: their number, at least 1.

    Raises:
        ValueError: an unknown method, or no step.
    """

    method: str = "euler"
    steps: int = 100

    def __post_init__(self) -> None:
        check_name("torchsde", self.method, ITO + STRATONOVICH)
        if self.steps < 1:
            raise ValueError(f"at least one step is needed, got {self.steps}; ask for steps >= 1")

    def __call__(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Tensor:
        """The state at `stop`, shape (B, *E), from x at `start`, in either direction.

        Raises:
            TypeError: another equation, no noise, or a path or method that does not suit the equation.
            ValueError: a state or times that cannot be integrated.
        """
        check_path(equation, noise)
        self._check(equation, noise)
        x = as_state(x)
        if not (math.isfinite(start) and math.isfinite(stop)):
            raise ValueError(f"torchsde integrates between finite times, got {start} and {stop}; stop at a finite one")
        if start == stop or not x.numel():
            return x
        sde = _InSteps(equation, x, uniform(start, stop, self.steps).tolist(), self.method)
        return self._solve(sde, _UnitSteps(noise, x, sde), x)

    def _solve(self, sde: _InSteps, motion: Any, x: Tensor) -> Tensor:
        import torchsde

        ends = torch.tensor([0.0, self.steps], dtype=torch.float64)
        y = torchsde.sdeint(sde, x.reshape(motion.shape), ends, bm=motion, method=self.method, dt=1.0)
        return cast(Tensor, y)[-1].reshape(x.shape)

    def _check(self, equation: Equation, noise: WienerPath | None) -> None:
        if type(equation) not in (ItoSDE, DiagonalSDE):
            raise TypeError(
                f"torchsde integrates an ItoSDE or a DiagonalSDE, got {type(equation).__name__}; "
                "take Scipy or FixedGrid for a deterministic equation, FixedGrid for any other"
            )
        if isinstance(equation, DiagonalSDE) and self.method not in ITO:
            raise TypeError(
                f"torchsde's {self.method} reads a DiagonalSDE in the sense of Stratonovich, and it is meant in that "
                f"of Ito; choose {', '.join(ITO)}"
            )
        if self.method == "srk" and not isinstance(noise, AreaPath):
            raise TypeError(
                f"torchsde's srk needs a path that knows its Levy area, got {type(noise).__name__}; "
                "pass FreshIncrements or KeyedIncrements, or choose euler"
            )


class _InSteps:
    """The right-hand side of (1), as `sdeint` reads it: f and g of a time in steps and a state (B, n)."""

    noise_type = "diagonal"

    def __init__(self, equation: Any, x: Tensor, times: list[float], method: str) -> None:
        self.equation, self.shape, self.times = equation, x.shape, times
        self.h = (times[-1] - times[0]) / (len(times) - 1)
        self.root = math.sqrt(abs(self.h))
        self.sde_type = "ito" if method in ITO else "stratonovich"

    def time(self, u: float | Tensor) -> float:
        """t of u: a number of the grid where u is whole, a stage inside a step where it is not."""
        whole = int(u)
        return self.times[whole] + (float(u) - whole) * self.h

    def f(self, u: Tensor, y: Tensor) -> Tensor:
        """h drift, shape (B, n)."""
        return (self.h * self.equation.drift(y.reshape(self.shape), self.time(u))).reshape(y.shape)

    def g(self, u: Tensor, y: Tensor) -> Tensor:
        """sqrt|h| diffusion, shape (B, n)."""
        t = self.time(u)
        if isinstance(self.equation, ItoSDE):
            return scale(self.root * self.equation.diffusion(t), torch.ones_like(y))
        return (self.root * self.equation.diffusion(y.reshape(self.shape), t)).reshape(y.shape)


class _UnitSteps(AsTorchsde):
    """V of (1): our path in a time counted in steps. Its integral over u is that of W over t, divided by |h|^{3/2}."""

    def __init__(self, path: Any, x: Tensor, sde: _InSteps) -> None:
        super().__init__(path, x, sde.time)
        self.root = sde.root

    def __call__(self, ta, tb=None, return_U=False, return_A=False):
        found = super().__call__(ta, tb, return_U, return_A)
        if isinstance(found, Tensor):
            return found / self.root
        dw, integral = found
        return dw / self.root, integral / self.root**3
