"""`check_method`: every order that a method declares, measured, and what it must keep beside them.

print(check_method(MyMethod()))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product

import torch

from solvers.equations import ODE, DiagonalSDE, Equation, ItoSDE, MarkovChain, RenoisedODE, SemilinearODE, SemilinearSDE
from solvers.grids import Spacing
from solvers.integrate import Solver
from solvers.method import Method, Order
from solvers.testing import orders
from solvers.testing.behaviour import BEHAVIOUR
from solvers.testing.diagnosis import likely
from solvers.testing.diagonal_orders import stratonovich_order, strong_on_transformed, weak_on_geometric
from solvers.testing.exactness import NOISE_FACTORS, exactness
from solvers.testing.orders import SPANS, UNEVEN, AtSteps, Observed, on_grid
from solvers.testing.paths import ScaledPath
from solvers.testing.problems import CLOCKS, SOLUTIONS, Shrunk
from solvers.testing.report import FULL, QUICK, Finding, Report, run_checks, verdict
from solvers.testing.stochastic_orders import first_variances, strong_on_linear, weak_on_renoised

TOLERANCE = 0.2
"""How far an observed order may lie from the declared one."""

READ = "solvers/testing/orders.py"
ADDITIVE = (ItoSDE, SemilinearSDE, MarkovChain)
Kind = type[Equation]


def check_method(method: Method, level: str = QUICK) -> Report:
    """The report on a method; `level` is "quick" (seconds) or "full" (all problems, nonlinear weak orders).

    Raises:
        TypeError: not an instance of `Method`.
        ValueError: an unknown level, or a method that declares no orders.
    """
    if not isinstance(method, Method):
        raise TypeError(f"check_method takes a Method, got {type(method).__name__}; pass an instance such as Heun()")
    if not method.orders:
        raise ValueError(f"{method!r} declares no orders, and there is nothing to hold it to; declare `orders`")
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = []
    for kind in method.orders:
        checks += [(f"orders ({kind.__name__})", partial(_orders, method, kind, level))]
        looks = [*BEHAVIOUR, exactness]
        checks += [(f"{look.__name__} ({kind.__name__})", partial(look, method, kind)) for look in looks]
    return run_checks(repr(method), level, checks)


def _orders(method: Method, kind: Kind, level: str) -> Iterator[Finding]:
    """The orders of one kind of equation; kinds that converge in distribution only are measured by the tests of exact laws."""
    if kind in (ODE, SemilinearODE):
        yield from _deterministic(method, kind, list(SOLUTIONS) if level == FULL else ["sine"])
    elif kind in ADDITIVE:
        yield from additive_orders(on_grid(method), on_grid(method, UNEVEN), kind, method.orders[kind], level)
    elif kind is DiagonalSDE:
        yield from diagonal_orders(on_grid(method), method.orders[kind])
    elif kind is RenoisedODE:
        yield from _renoised_orders(method, list(CLOCKS) if level == FULL else ["square"])


def _deterministic(method: Method, kind: Kind, problems: list[str]) -> Iterator[Finding]:
    declared = method.orders[kind].weak
    for problem in problems:
        seen = {d: orders.deterministic(method, kind, problem, d) for d in SPANS}
        for direction in SPANS:
            name = f"order ({kind.__name__}, {problem}, {direction})"
            yield order_verdict(name, seen[direction], declared, partial(_why, method, kind, seen))
    rough = orders.deterministic(method, kind, problems[0], "down", orders.alternating)
    yield order_verdict(f"order on alternating steps ({kind.__name__})", rough, declared, lambda: INDEX)


INDEX = (
    "right where neighbouring steps are alike: the weights of a step belong to another step (an index, fixed weights)"
)


SMALL = 1e-3
CLIPS = "right on small states only: the state is clipped (clamped, thresholded) at each step"


def _why(method: Method, kind: Kind, seen: dict[str, Observed]) -> str:
    """Where the order is lost: in one direction, on uneven grids, or everywhere."""
    declared, good = (
        method.orders[kind].weak,
        {d: abs(o.order - method.orders[kind].weak) < 0.3 for d, o in seen.items()},
    )
    if any(good.values()):
        return "right in one direction of time only: a step's sign is lost (abs(h) for h)"
    if _uniform_order(method, kind) > declared - TOLERANCE:
        consistent = min(o.order for o in seen.values()) > 0.5
        return INDEX if consistent else "right on uniform grids only: it steps by 1/N, not by the grid's own step"
    worst = min(o.order for o in seen.values())
    if _uniform_order(method, kind, SMALL) > declared - TOLERANCE:
        return CLIPS
    if worst > declared:
        return "the declared order is too low: declare the observed one"
    if worst < 0.5:
        return "it converges to something else: a weight or a stage is wrong in the leading term"
    return "an order is lost on every grid: a stage is taken at a wrong time, or the start is of too low an order"


def _uniform_order(method: Method, kind: Kind, size: float = 1.0) -> float:
    """The order on grids of equal steps, of a solution shrunk to a size."""
    start, stop = SPANS["up"]
    equation, exact = orders.manufactured(kind, "sine")
    x = torch.full((1, 1), exact(start), dtype=torch.float64)
    ends = [Shrunk(on_grid(method)(n), size)(equation, x, start, stop).item() for n in (64, 128)]
    return orders.observed_order([abs(end - exact(stop)) for end in ends])


def additive_orders(
    at: AtSteps, uneven: AtSteps, kind: Kind, declared: Order, level: str, spacing: Spacing = UNEVEN
) -> Iterator[Finding]:
    """Weak orders on a linear equation by impulses and, at the full level, on two more and a nonlinear one; strong orders.

    `at` solves on uniform grids, `uneven` on those of `spacing`.
    """
    for direction in SPANS:
        seen = orders.weak_on_linear(uneven, kind, direction, spacing)
        why = partial(_why_noise, uneven, kind, direction, declared.weak, spacing)
        yield order_verdict(
            f"weak order ({kind.__name__}, linear, {direction})", seen, declared.weak, why, flatters=True
        )
    if declared.strong:
        for direction in SPANS:
            seen = _strong(at, uneven, kind, direction, declared.strong, spacing)
            yield order_verdict(f"strong order ({kind.__name__}, {direction})", seen, declared.strong)
    if level == FULL:
        for problem, direction in product(("shared", "growing"), SPANS):
            seen = orders.weak_on_linear(uneven, kind, direction, spacing, problem)
            yield order_verdict(
                f"weak order ({kind.__name__}, {problem}, {direction})", seen, declared.weak, flatters=True
            )
        seen = orders.weak_on_nonlinear(at, kind)
        if seen is not None:
            yield order_verdict(f"weak order ({kind.__name__}, nonlinear)", seen, declared.weak)


def _strong(at: AtSteps, uneven: AtSteps, kind: Kind, direction: str, declared: float, spacing: Spacing) -> Observed:
    """Sampled on a nonlinear equation; where that flatters, as before a small leading term shows, exact on a linear one."""
    seen = orders.strong(at, kind, direction)
    if seen.stays(declared, TOLERANCE):
        return seen
    return min(seen, strong_on_linear(uneven, kind, direction, spacing, "shared"), key=lambda o: o.low)


def _why_noise(uneven: AtSteps, kind: Kind, direction: str, declared: float, spacing: Spacing) -> str:
    """Whether the order comes back when the noise is multiplied by a number."""

    def shortfall(factor: float) -> float:
        louder = lambda steps: _Louder(uneven(steps), factor)  # noqa: E731
        return declared - orders.weak_on_linear(louder, kind, direction, spacing).order

    return likely([(words, partial(shortfall, factor)) for words, factor in NOISE_FACTORS.items()], TOLERANCE)


@dataclass(frozen=True)
class _Louder(Solver):
    """A solver that is given its path times a number."""

    solver: Solver
    factor: float

    def __call__(self, equation, x, start, stop, noise=None):
        assert noise is not None
        return self.solver(equation, x, start, stop, ScaledPath(noise, self.factor))


def diagonal_orders(at: AtSteps, declared: Order) -> Iterator[Finding]:
    """Strong and weak order on geometric Brownian motion."""

    def why() -> str:
        return likely([(STRATONOVICH, lambda: declared.weak - stratonovich_order(at))], TOLERANCE)

    if declared.strong:
        yield order_verdict("strong order (DiagonalSDE)", strong_on_transformed(at, "exp"), declared.strong, why)
    yield order_verdict("weak order (DiagonalSDE)", weak_on_geometric(at), declared.weak, why)


STRATONOVICH = "it solves Stratonovich's equation, not Ito's: an average of the diffusion over the step adds g dg/dx/2 to the drift"


def _renoised_orders(method: Method, clocks: list[str]) -> Iterator[Finding]:
    """Weak orders of a flow that is noised again, and the time at which the field is evaluated after the noise."""
    for clock in clocks:
        seen = weak_on_renoised(method, clock)
        yield order_verdict(f"weak order (RenoisedODE, {clock})", seen, method.orders[RenoisedODE].weak)
    t, variance, exact = first_variances(method, clocks[0])
    yield verdict(
        "the field is asked at the state's own time (RenoisedODE)",
        abs(variance / exact - 1),
        1e-9,
        example=f"the field is called at t = {t:.4g}, where the variance is {exact:.4g}; the state has {variance:.4g}",
        cause="noise is added (churn), and the field is evaluated at a time that does not belong to the noisier state: pass t^",
        read="solvers/methods/churn.py",
    )


def order_verdict(
    name: str, seen: Observed, declared: float, why: Callable[[], str] = str, flatters: bool = False
) -> Finding:
    """How far the declared order lies outside the observed interval; below it is no fault where the problem may flatter."""
    error = max(declared - seen.high, 0.0 if flatters else seen.low - declared, 0.0)
    note = f"observed {seen}, declared {declared:g}"
    return verdict(name, error, TOLERANCE, example=note, cause=why, note=note, read=READ)
