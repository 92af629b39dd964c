"""A sampler: an equation, a method, a time grid, and the number of denoiser calls it takes unless you say otherwise.

    sampler = samplers.dpmpp_2m()
    reversal, solver = sampler.build(sde, denoiser, nfe=20)     # or steps=20, or nothing: the sampler's own budget
    x = sample(reversal, solver, (64, 2), seed=0)

`sde_diffusion.samplers` has them by name. A new one is `FormSampler("mine", data_form, ExponentialAdams(3), log_snr())`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sampling.budget import Budget, Calls, Steps, Tol, budget
from sde_diffusion.sampling.spacings import Grid
from sde_diffusion.sde.base import SDE
from solvers.integrate import FixedGrid, Solver
from solvers.method import Method

Form = Callable[[Any, Any], Reversal]
"""(sde, denoiser) -> the reverse-time equation, such as `data_form`, `reverse_sde` or `partial(data_form, eta=1.0)`."""

ToTolerance = Callable[[float], Solver]
"""tol -> a solver with steps of its own, such as `AdaptiveSDE.tol`."""


USUAL_STEPS, USUAL_CALLS = Steps(50), Calls(20)
"""The budgets of samplers that are made without one."""


class Sampler(ABC):
    """What turns a process and a denoiser into samples.

    Attributes:
        label: its name, without the budget.
        budget: what it spends where `build` is given nothing: `Steps`, `Calls` or `Tol`.
        evaluations: denoiser calls of one step.
    """

    label: str
    budget: Budget
    evaluations: int = 1

    def build(
        self,
        sde: Any,
        denoiser: Any,
        *,
        steps: int | None = None,
        nfe: int | None = None,
        tol: float | None = None,
        data_std: float = 1.0,
    ) -> tuple[Reversal, Solver]:
        """The reverse-time equation and the solver; hand both to `sample`.

        Args:
            sde: the process that the denoiser was trained on.
            denoiser: a `Denoiser`.
            steps: a number of steps.
            nfe: a number of denoiser calls for each sample; never more are made, the last denoising step included.
            tol: a tolerance in the place of both, for samplers that choose their steps themselves.
            data_std: the standard deviation of the data, root mean square over the coordinates.

        Raises:
            ValueError: more than one budget, a budget that this sampler cannot take, a `data_std` that is not positive.
            TypeError: `sde` is no process, or the method does not integrate the equation.
        """
        if not isinstance(sde, SDE):
            raise TypeError(
                f"build takes the process and then the denoiser, got {type(sde).__name__}; write VP() first"
            )
        if not data_std > 0:
            raise ValueError(f"data_std must be above 0, got {data_std}; give 1 for normalised data")
        chosen = budget(steps, nfe, tol) or self.budget
        make = {Steps: self._in_steps, Calls: self._in_calls, Tol: self._to_tolerance}[type(chosen)]
        return make(sde, denoiser, chosen, data_std)

    @abstractmethod
    def _in_steps(self, sde: Any, denoiser: Any, chosen: Any, data_std: float) -> tuple[Reversal, Solver]: ...

    @abstractmethod
    def _in_calls(self, sde: Any, denoiser: Any, chosen: Any, data_std: float) -> tuple[Reversal, Solver]: ...

    @abstractmethod
    def _to_tolerance(self, sde: Any, denoiser: Any, chosen: Any, data_std: float) -> tuple[Reversal, Solver]: ...

    @abstractmethod
    def with_budget(self, chosen: Budget) -> Sampler:
        """The same with another budget of its own."""

    @abstractmethod
    def steps_for(self, nfe: int) -> int:
        """The steps that so many denoiser calls pay for, the last denoising step included; 0 for too few."""

    @property
    def steps(self) -> int:
        """The number of steps of its own budget; 0 where it chooses them itself."""
        if isinstance(self.budget, Tol):
            return 0
        return self.budget.count if isinstance(self.budget, Steps) else self.steps_for(self.budget.count)

    def with_steps(self, steps: int) -> Sampler:
        """The same with another number of steps."""
        return self.with_budget(Steps(steps))

    def with_nfe(self, nfe: int) -> Sampler:
        """The same with another number of denoiser calls."""
        return self.with_budget(Calls(nfe))

    def with_tol(self, tol: float) -> Sampler:
        """The same to a tolerance."""
        return self.with_budget(Tol(tol))

    def at_budgets(self, budgets: Sequence[int]) -> Iterator[Sampler]:
        """The same at each number of calls that pays for a step, in increasing order; itself once, to a tolerance."""
        if isinstance(self.budget, Tol):
            yield self
            return
        yield from (self.with_nfe(nfe) for nfe in sorted(set(budgets)) if self.steps_for(nfe))

    def without_final_denoise(self) -> Sampler:
        """The same, ending on x at t_min itself: the call of the last denoising step is spent on the steps."""
        return self

    def __str__(self) -> str:
        return f"{self.label}/{self.budget}"

    def parts(self) -> str:
        """What it is made of, in words that are the same in every process."""
        return self.label


@dataclass(frozen=True)
class FormSampler(Sampler):
    """A sampler of parts.

    Attributes:
        label: its name.
        form: the reverse-time equation.
        method: the rule of one step.
        spacing: the time grid.
        budget: its own budget.
        adaptive: the solver for `tol`, None where there is none.
    """

    label: str
    form: Form
    method: Method
    spacing: Grid
    budget: Budget = USUAL_STEPS
    adaptive: ToTolerance | None = None

    def __post_init__(self) -> None:
        if isinstance(self.budget, Tol):
            self._adaptive()

    @property
    def evaluations(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Denoiser calls of one step."""
        return self.method.evaluations

    def with_budget(self, chosen: Budget) -> Self:
        """The same with another budget of its own; ValueError for a tolerance that it cannot keep."""
        return replace(self, budget=chosen)

    def with_spacing(self, spacing: Grid) -> Self:
        """The same on another time grid, which its label names."""
        return replace(self, spacing=spacing, label=f"{self.label}/{spacing}")

    def steps_for(self, nfe: int) -> int:
        """One call is kept for the last denoising step, and what a multistep method's start costs beside its steps."""
        return most_steps(self.method, nfe - 1)

    def without_final_denoise(self) -> Self:
        """The same, ending on x at t_min itself: the call of the last denoising step is spent on the steps."""
        return replace(self, form=lambda sde, denoiser: self.form(sde, denoiser).without_final_denoise())

    def parts(self) -> str:
        """What it is made of: `data_form/ExponentialAdams(k=2)/log_snr`."""
        return f"{_spelt(self.form)}/{self.method!r}/{self.spacing}"

    def _in_steps(self, sde: Any, denoiser: Any, chosen: Steps, data_std: float) -> tuple[Reversal, Solver]:
        return self._on_grid(self._reversal(sde, denoiser), chosen.count, sde, data_std)

    def _in_calls(self, sde: Any, denoiser: Any, chosen: Calls, data_std: float) -> tuple[Reversal, Solver]:
        reversal = self._reversal(sde, denoiser)
        last = int(reversal.finish is not reversal.without_final_denoise().finish)
        return self._on_grid(reversal, self._affordable(chosen.count, last), sde, data_std)

    def _to_tolerance(self, sde: Any, denoiser: Any, chosen: Tol, data_std: float) -> tuple[Reversal, Solver]:
        return self.form(sde, denoiser), self._adaptive()(chosen.value)

    def _adaptive(self) -> ToTolerance:
        if self.adaptive is None:
            raise ValueError(
                f"{self.label} takes a number of steps, not a tolerance; adaptive_ode (dopri5) and adaptive_sde take tol=1e-4"
            )
        return self.adaptive

    def _reversal(self, sde: Any, denoiser: Any) -> Reversal:
        reversal = self.form(sde, denoiser)
        kind = type(reversal.equation)
        if kind not in self.method.orders:
            kinds = " or ".join(known.__name__ for known in self.method.orders)
            raise TypeError(
                f"{self.label}: {type(self.method).__name__} integrates {kinds}, and {_spelt(self.form)} is "
                f"{kind.__name__}; choose a method whose `orders` names it"
            )
        return reversal

    def _on_grid(self, reversal: Reversal, steps: int, sde: Any, data_std: float) -> tuple[Reversal, Solver]:
        return reversal, FixedGrid(self.method, steps, self.spacing(sde, reversal, data_std))

    def _affordable(self, nfe: int, last: int) -> int:
        """The steps of a budget, of which a last denoising step takes `last` calls."""
        steps, first = most_steps(self.method, nfe - last), calls_of(self.method, 1)
        if not steps:
            words = " and 1 for the last denoising step" if last else ""
            raise ValueError(
                f"{self.label} makes {first} calls for its first step{words}, got nfe={nfe}; give at least {first + last}"
            )
        return steps


@dataclass(frozen=True)
class RuleSampler(Sampler):
    """A sampler whose method and grid depend on the number of calls; a step is a call.

    Attributes:
        label: its name.
        rule: (sde, denoiser, nfe, data_std) -> (reversal, solver).
        tolerant: the same with a tolerance in the place of nfe.
        budget: its own budget.
    """

    label: str
    rule: Callable[[Any, Any, int, float], tuple[Reversal, Solver]]
    tolerant: Callable[[Any, Any, float, float], tuple[Reversal, Solver]]
    budget: Budget = USUAL_CALLS

    def with_budget(self, chosen: Budget) -> Self:
        """The same with another budget of its own."""
        return replace(self, budget=chosen)

    def steps_for(self, nfe: int) -> int:
        """As many as calls: it ends on x at t_min itself."""
        return nfe

    def _in_steps(self, sde: Any, denoiser: Any, chosen: Steps | Calls, data_std: float) -> tuple[Reversal, Solver]:
        return self.rule(sde, denoiser, chosen.count, data_std)

    _in_calls = _in_steps

    def _to_tolerance(self, sde: Any, denoiser: Any, chosen: Tol, data_std: float) -> tuple[Reversal, Solver]:
        return self.tolerant(sde, denoiser, chosen.value, data_std)


def calls_of(method: Method, steps: int) -> int:
    """Evaluations of the equation's field in so many steps, those of a multistep method's starter included."""
    starter = getattr(method, "starter", None)
    if starter is None:
        return steps * method.evaluations
    started = min(steps, getattr(method, "started", getattr(method, "k", 1) - 1))
    return steps * method.evaluations + started * (starter.evaluations - 1)


def most_steps(method: Method, calls: int) -> int:
    """The largest number of steps that costs no more than `calls`; 0 where one step costs more."""
    steps = max(calls // method.evaluations, 0)
    while steps > 0 and calls_of(method, steps) > calls:
        steps -= 1
    return steps


def _spelt(form: Form) -> str:
    if isinstance(form, partial):
        words = ", ".join([*map(str, form.args), *(f"{name}={value}" for name, value in form.keywords.items())])
        return f"{_spelt(form.func)}({words})"
    return getattr(form, "__name__", type(form).__name__)
