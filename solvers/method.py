"""A method is a rule for one step: stateless, with the orders it declares for each kind of equation it integrates.

What a step keeps (the history of a multistep method) travels in an explicit state, so that a method can be shared
between threads, resumed and re-entered. Orders are data: the contract tests measure every one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from solvers.elementwise import Coefficient
from solvers.equations import ODE, Equation, RenoisedODE
from solvers.wiener import WienerPath

State = Any


@dataclass(frozen=True)
class Order:
    """Orders of convergence in the largest step: pathwise (`strong`) and of expectations (`weak`).

    For a deterministic equation the two are the same number. `strong=None` says that the method has no pathwise limit
    to converge to (its noise has the exact distribution only).
    """

    strong: float | None
    weak: float

    @classmethod
    def of(cls, order: float) -> Order:
        """The order of a method for a deterministic equation."""
        return cls(order, order)


class Method(ABC):
    """One step of an integration.

    `orders` maps every kind of equation that the method integrates to its declared order.
    `evaluations` is the number of calls of the equation's field in one step (after start-up).
    `needs` is the least that a path must offer for the method's noise.
    """

    orders: Mapping[type[Equation], Order]
    evaluations: int = 1
    needs: type[WienerPath] = WienerPath

    def __repr__(self) -> str:
        """The class and what it was given."""
        return f"{type(self).__name__}({', '.join(repr(v) for k, v in vars(self).items() if _is_setting(k, v))})"

    def init(self, equation: Any, x: Tensor, grid: Sequence[float]) -> State:
        """What must be known before the first step: a multistep method computes its coefficients on the grid here."""
        return None

    @abstractmethod
    def step(
        self, equation: Any, x: Tensor, t: Coefficient, s: Coefficient, path: WienerPath | None, state: State
    ) -> tuple[Tensor, State]:
        """The state at s, from x of shape (B, *E) at t.

        `path` gives the noise of a stochastic equation: path.increment(t, s) = W(s) - W(t). It is None for a
        deterministic one.
        """


class OneStep(Method):
    """A method that needs nothing but the present state, whose first stage is the field at the step's beginning.

    Given that field, `finish_step` completes the step: a multistep method that starts with it pays for no evaluation twice.
    """

    @abstractmethod
    def finish_step(self, equation: Any, x: Tensor, t: Coefficient, s: Coefficient, first: Tensor) -> Tensor:
        """The state at s, from x at t and the field there."""

    def step(self, equation, x, t, s, path, state):
        """The field, then `finish_step`."""
        return self.finish_step(equation, x, t, s, field(equation)(x, t)), None


@dataclass(frozen=True)
class Attempt:
    """A step with an estimate of its error, each (B, *E); `last` is the field at the step's end, where it is known."""

    x: Tensor
    error: Tensor
    last: Tensor | None


class Embedded(OneStep):
    """A one-step method that estimates its own local error, for `solvers.adaptive`.

    `estimate` is the order of the estimate plus one: a step twice as long has an error 2^estimate as large.
    """

    estimate: int

    @abstractmethod
    def attempt(self, equation: Any, x: Tensor, t: Coefficient, s: Coefficient, first: Tensor) -> Attempt:
        """A step from x at t, where the field is `first`; t and s are floats, or (B,) tensors for steps of their own."""

    def finish_step(self, equation, x, t, s, first):
        """The attempt's state."""
        return self.attempt(equation, x, t, s, first).x


def field(equation: Any) -> Callable[[Tensor, Coefficient], Tensor]:
    """What a multistep method keeps: the drift of an ODE, the nonlinear part of a semilinear equation."""
    return equation.drift if isinstance(equation, ODE | RenoisedODE) else equation.forcing


def noise(path: WienerPath | None, t: Coefficient, s: Coefficient) -> Tensor:
    """W(s) - W(t); `path` has been validated by `integrate.check`."""
    assert path is not None
    return path.increment(t, s)


def _is_setting(name: str, value: Any) -> bool:
    return name not in ("evaluations", "estimate") and isinstance(value, (bool, int, float, str, Method))
