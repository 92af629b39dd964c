"""A method is a rule for one step: stateless, with the orders it declares for each kind of equation it integrates.

What a step remembers (the history of a multistep method) travels in an explicit state, so that a method can be shared
between threads, resumed and re-entered. Orders are data: the contract tests measure every one of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from solvers.elementwise import Coefficient
from solvers.equations import Equation
from solvers.wiener import WienerPath

State = Any


@dataclass(frozen=True)
class Order:
    """Orders of convergence in the largest step: pathwise (`strong`) and of expectations (`weak`).

    For a deterministic equation the two are the same number. `strong=None` says that the method has no pathwise limit
    to converge to (its noise is exact in law only).
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
    """

    orders: Mapping[type[Equation], Order]
    evaluations: ClassVar[int] = 1

    def __repr__(self) -> str:
        """The class and what it was given."""
        return f"{type(self).__name__}({', '.join(f'{v!r}' for v in vars(self).values() if _is_setting(v))})"

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


def noise(path: WienerPath | None, t: Coefficient, s: Coefficient) -> Tensor:
    """W(s) - W(t) of a path that the door has checked to be there."""
    assert path is not None
    return path.increment(t, s)


def _is_setting(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str, Method))
