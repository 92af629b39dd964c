"""A solver turned inside out: it stops wherever it asks an expensive function, and goes on with the answer.

    oracle = Oracle()                                    # stands for the function, as in ODE(oracle)
    steps = stepwise(FixedGrid(Heun(), 20), ODE(oracle), x, 1.0, 0.0, oracle)
    question = next(steps)                               # (x, t)
    question = steps.send(answer)                        # ... until StopIteration, whose value is the last state

A step of a method is a pure function of the state before it and of the answers. It is run until it asks what has no answer
yet; the question is handed out, and the step runs again from its beginning with the answer at hand. k questions cost k + 1 runs of
what is between them, a few additions of states; no thread and no second formula of any method is needed. Noise must be a
function of its interval, as that of `KeyedPath` is.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from itertools import pairwise
from typing import Any, TypeVar

from torch import Tensor

from solvers.equations import Equation
from solvers.grids import check_grid
from solvers.integrate import FixedGrid, Solver, as_state, check, grid
from solvers.wiener import KeyedPath, WienerPath

T = TypeVar("T")
Questions = Generator[tuple[Any, ...], Any, T]
"""Yields the arguments of each call, receives its value, and returns a T."""


class Oracle:
    """A function that is answered from outside: it gives the answers known so far in their order, then stops the computation."""

    def __init__(self) -> None:
        self.answers: list[Any] = []
        self.asked = 0

    def __call__(self, *question: Any) -> Any:
        """The answer to the next question."""
        if self.asked == len(self.answers):
            raise _Unanswered(question)
        self.asked += 1
        return self.answers[self.asked - 1]


class _Unanswered(Exception):
    """Stops a computation at a question without an answer."""

    def __init__(self, question: tuple[Any, ...]) -> None:
        super().__init__("a question of `inside_out` that has no answer yet")
        self.question = question


def inside_out(oracle: Oracle, compute: Callable[[], T]) -> Questions[T]:
    """The value of compute(), a pure function that calls `oracle`; each of its calls is yielded and answered by `send`."""
    oracle.answers = []
    while True:
        oracle.asked = 0
        try:
            return compute()
        except _Unanswered as stop:
            question = stop.question
        oracle.answers.append((yield question))


def first_question(oracle: Oracle, compute: Callable[[], Any]) -> tuple[Any, ...]:
    """What compute(), a pure function that calls `oracle`, asks first. Raises TypeError where it asks nothing."""
    for question in inside_out(oracle, compute):
        return question
    raise TypeError("the equation does not ask the oracle; make it of the oracle in the place of the denoiser")


def answered(oracle: Oracle, answer: Any, compute: Callable[[], T]) -> T:
    """compute() with the answer to its only question."""
    oracle.answers, oracle.asked = [answer], 0
    return compute()


def stepwise(
    solver: Solver,
    equation: Equation,
    x: Tensor,
    start: float,
    stop: float,
    oracle: Oracle,
    path: WienerPath | None = None,
) -> Questions[Tensor]:
    """What solver(equation, x, start, stop, path) gives, for an equation made of the oracle: the same numbers, bit for bit.

    Raises TypeError for a solver that is no `FixedGrid`, noise that is drawn anew at each call, and what `integrate` refuses.
    """
    if not isinstance(solver, FixedGrid):
        raise TypeError(
            f"{type(solver).__name__} chooses its steps while it runs; take a FixedGrid, such as FixedGrid(Heun(), 20)"
        )
    if path is not None and not isinstance(path, KeyedPath):
        raise TypeError(f"{type(path).__name__} gives other noise when a step runs again; take KeyedIncrements")
    check(solver.method, equation, path)
    times = check_grid(grid(equation, start, stop, solver.steps, solver.spacing))
    x = as_state(x)
    state = yield from inside_out(oracle, partial(solver.method.init, equation, x, times))
    for t, s in pairwise(times):
        x, state = yield from inside_out(oracle, partial(solver.method.step, equation, x, t, s, path, state))
    return x
