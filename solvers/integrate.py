"""The one loop. It is a generator, so that progress bars, plots, trajectories and early stops belong to the caller."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from solvers.equations import (
    ODE,
    Equation,
    ItoSDE,
    MarkovChain,
    RenoisedODE,
    SemilinearODE,
    SemilinearSDE,
    TargetFamily,
)
from solvers.grids import Spacing, check_grid, uniform
from solvers.method import Method
from solvers.wiener import KeyedIncrements, PathSpec, WienerPath
from solvers.wiener_tree import WienerTree

METHODS_FOR: dict[type[Equation], str] = {
    ODE: "Heun(), AdamsBashforth(2) or RK4()",
    SemilinearODE: "ExponentialEuler() or ExponentialAdams(2)",
    ItoSDE: "EulerMaruyama(), StochasticHeun() or SRA1()",
    SemilinearSDE: "ExponentialEuler() or StochasticExponentialAdams(2)",
    RenoisedODE: "Churn()",
    MarkovChain: "Ancestral()",
    TargetFamily: "PredictorCorrector(EulerMaruyama())",
}
"""What a message names for each kind of equation."""

Noise = Callable[[PathSpec], WienerPath]
"""The kind of path of a stochastic equation: KeyedIncrements, WienerTree, AreaTree or FreshIncrements."""


def integrate(
    method: Method, equation: Equation, x: Tensor, grid: Tensor, path: WienerPath | None = None
) -> Iterator[tuple[float, Tensor]]:
    """Yield (time, state) after each step along the grid; the initial state is not yielded.

    Args:
        x: the state at grid[0], shape (B, *E), floating point; one of 16 bits is integrated in float32.
        grid: strictly monotone times, shape (steps + 1,).
        path: the noise of a stochastic equation, None for a deterministic one.

    Raises:
        TypeError: the method does not integrate this kind of equation, or the noise is missing.
        ValueError: the grid or the state is not one that can be integrated.
    """
    check(method, equation, path)
    return _steps(method, equation, as_state(x), check_grid(grid), path)


def _steps(
    method: Method, equation: Equation, x: Tensor, times: list[float], path: WienerPath | None
) -> Iterator[tuple[float, Tensor]]:
    state = method.init(equation, x, times)
    for t, s in pairwise(times):
        x, state = method.step(equation, x, t, s, path, state)
        yield s, x


def check(method: Method, equation: Equation, path: WienerPath | None) -> None:
    """Refuse, before the first step, what cannot be integrated. Raises TypeError."""
    if not isinstance(method, Method):
        raise TypeError(f"a solver needs a method, got {method!r}; pass an instance such as Heun()")
    if type(equation) not in method.orders:
        kinds = " or ".join(kind.__name__ for kind in method.orders)
        raise TypeError(
            f"{type(method).__name__} integrates {kinds}, got {type(equation).__name__}; "
            f"choose {METHODS_FOR.get(type(equation), 'a method whose `orders` names this equation')}, or another equation"
        )
    check_path(equation, path)
    if path is not None and not isinstance(path, method.needs):
        raise TypeError(
            f"{type(method).__name__} needs the Levy area of each step and {type(path).__name__} does not know it; pass "
            "noise=AreaTree (one path at any step count), KeyedIncrements or FreshIncrements"
        )


def check_path(equation: Equation, path: WienerPath | None) -> None:
    """A stochastic equation needs a path, a deterministic one takes none. Raises TypeError."""
    if equation.stochastic and path is None:
        raise TypeError(
            f"{type(equation).__name__} is stochastic and no noise was given; pass noise=, such as a WienerTree"
        )
    if path is not None and not equation.stochastic:
        raise TypeError(f"{type(equation).__name__} is deterministic and noise was given; leave noise out")


def as_state(x: Tensor) -> Tensor:
    """The state as it is integrated: x itself, in float32 where it has 16 bits, whose rounding would add up over the steps.

    A state is a floating-point tensor with a batch axis. Raises TypeError or ValueError for anything else.
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise TypeError(f"a state is a floating-point tensor, got {kind}; convert it with .float() or .double()")
    if x.ndim < 1:
        raise ValueError("a state has shape (B, *E), got a scalar; add the batch axis with x[None]")
    if x.device.type == "cpu" and not torch.isfinite(x).all():
        raise ValueError("the initial state holds NaN or infinity; look at where it comes from before integrating it")
    return x.to(state_dtype(x.dtype))


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """In which numbers a state of this dtype is integrated: itself, and float32 for those of 16 bits."""
    return torch.float32 if torch.finfo(dtype).bits < 32 else dtype


class Solver(ABC):
    """Anything that carries a state from start to stop along an equation: our loops and other libraries' alike."""

    @property
    def noise(self) -> Noise:
        """The kind of path to take for a stochastic equation where the caller names none."""
        return WienerTree

    @abstractmethod
    def __call__(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Tensor:
        """The state at `stop`, shape (B, *E), from x at `start`; stop may be below start.

        It is in x's dtype, and in float32 for x of 16 bits: the equation is evaluated there as well.
        """


@dataclass(frozen=True)
class FixedGrid(Solver):
    """A method on a grid of a given number of steps: `FixedGrid(Heun(), 20)`, `FixedGrid(Heun(), 18, power(7))`.

    Args:
        method: the rule for one step.
        steps: the number of steps, at least 1.
        spacing: where the times lie; the equation's own spacing by default, and equal steps where it has none.

    Raises:
        TypeError: the arguments are exchanged or of another kind.
        ValueError: fewer than one step.
    """

    method: Method
    steps: int
    spacing: Spacing | None = None

    def __post_init__(self) -> None:
        check_grid_arguments("FixedGrid", self.method, self.steps)

    @property
    def noise(self) -> Noise:
        """Noise of each step, the cheapest: a grid uses every step once."""
        return KeyedIncrements

    def __call__(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Tensor:
        """The last state of `trajectory`."""
        end = x
        for _, end in self.trajectory(equation, x, start, stop, noise):  # noqa: B007
            pass
        return end

    def trajectory(
        self, equation: Equation, x: Tensor, start: float, stop: float, noise: WienerPath | None = None
    ) -> Iterator[tuple[float, Tensor]]:
        """Yield (time, state) after each step."""
        return integrate(self.method, equation, x, grid(equation, start, stop, self.steps, self.spacing), noise)


def grid(equation: Equation, start: float, stop: float, steps: int, spacing: Spacing | None = None) -> Tensor:
    """The times of the given spacing, else of the equation's own, else of equal steps: float64, shape (steps + 1,)."""
    return (spacing or equation.spacing or uniform)(start, stop, steps)


def check_grid_arguments(solver: str, method: object, steps: object) -> None:
    """Raises TypeError or ValueError, in one sentence, unless these are a method and a number of steps."""
    if isinstance(steps, Method) and not isinstance(method, Method):
        raise TypeError(f"{solver} takes the method first, then the steps; write {solver}({steps!r}, {method!r})")
    if not isinstance(method, Method):
        raise TypeError(f"{solver} needs a method, got {method!r}; pass an instance such as Heun()")
    if isinstance(steps, bool) or not isinstance(steps, int):
        raise TypeError(f"{solver} needs a whole number of steps, got {steps!r}; write {solver}({method!r}, 20)")
    if steps < 1:
        raise ValueError(f"{solver} needs at least one step, got {steps}; write {solver}({method!r}, 20)")
