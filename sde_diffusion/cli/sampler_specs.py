"""A sampler is a reversal times a method times a number of steps times a spacing: `reversal/method/steps/spacing`.

    reverse_sde/euler_maruyama/500                       Anderson's equation, in equal steps of its own clock
    probability_flow/heun/20/power(rho=2)                the flow on a quadratic grid of the process's time
    data_form(eta=0.5)/exponential_euler/50/in_log_snr   equal steps of log(sigma/alpha)
    velocity_form/dopri5/tol=1e-4                        steps of each sample's own, to a tolerance

The method may be left out: then it is the first known one that integrates the equation, or with `tol=` Dopri5 for a flow and
`AdaptiveSDE`, which has no other, for `reverse_sde`. Spacings: `uniform` in the
equation's own clock; `time` (equal steps) and `power(rho=2)` in the process's time; `level(rho=7)`, equal steps of
(sigma/alpha)^(1/rho), and those of `sde_diffusion.reversal` such as `in_log_snr`, which are the same for every process.
A file of `sde-diffusion tune`, whose name ends in `.json`, is a sampler as well (`tuned_sampler`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sde_diffusion.cli import factories as build
from sde_diffusion.cli.tuned_sampler import SUFFIX, TunedSampler
from sde_diffusion.plugins import choices, choose, is_plain
from sde_diffusion.specs import Spec, nearest, parse, spec, to_text

if TYPE_CHECKING:
    from sde_diffusion.denoisers.base import Denoiser
    from sde_diffusion.reversal import Reversal
    from sde_diffusion.sde import LinearSDE
    from solvers import Method, Solver
    from solvers.grids import Spacing

NAMED = {
    "reverse_sde": "reverse_sde/euler_maruyama/200/quadratic_in_vp_time",
    "langevin": "annealed_langevin(relaxations=5)/euler_maruyama/300/uniform",
    "ancestral": "ancestral/ancestral/100/quadratic_in_vp_time",
    "flow_heun": "velocity_form/heun/12/quadratic_in_vp_time",
    "flow_adams": "velocity_form/adams_bashforth(k=4)/16/quadratic_in_vp_time",
    "data_adams": "data_form/exponential_adams(k=2)/16/quadratic_in_vp_time",
}
"""The samplers that `demo` and `compare` take unless told otherwise."""

STEPS = 50
EXPONENTS = {"power": 2.0, "level": 7.0}
"""The spacings that take an exponent rho, and its default."""


def spacings() -> list[str]:
    """The names of all spacings: those of every clock, and those that `reversal` publishes for a process."""
    return ["uniform", "time", *EXPONENTS, *choices("spacing")]


@dataclass(frozen=True)
class Sampler:
    """A recipe; `label` is its name, or its parts without the number of steps."""

    label: str
    reversal: Spec
    method: Spec | None
    steps: int = STEPS
    spacing: Spec | None = None
    tol: float | None = None

    def __post_init__(self) -> None:
        if self.tol is not None and self.spacing is not None:
            raise ValueError(
                f"a tolerance chooses its own steps, got the spacing {to_text(self.spacing)} too; drop one"
            )

    def with_steps(self, steps: int) -> Sampler:
        """The same with another number of steps."""
        return replace(self, steps=steps, tol=None)

    def with_tol(self, tol: float) -> Sampler:
        """The same to a tolerance in the place of a number of steps."""
        return replace(self, steps=0, tol=tol)

    def evaluations(self) -> int:
        """How often a step calls the network."""
        return 1 if self.method is None else build.method(self.method).evaluations

    def at_budgets(self, budgets: Sequence[int]) -> Iterator[Sampler]:
        """The same at each budget of evaluations that pays for at least one step; itself once, to a tolerance."""
        if self.tol is not None:
            yield self
            return
        each = self.evaluations()
        yield from (self.with_steps(budget // each) for budget in sorted(set(budgets)) if budget >= each)

    def assembled(self, sde: LinearSDE, denoiser: Denoiser) -> tuple[Reversal, Solver]:
        """The reversal and the solver; ValueError when the method does not integrate the reversal's equation."""
        from solvers import FixedGrid

        reversal = build.reversal(self.reversal, sde, denoiser)
        if self.tol is not None:
            return reversal, _to_tolerance(self.tol, reversal, self.method)
        method = build.method(self.method or _fitting(reversal))
        if type(reversal.equation) not in method.orders:
            kind = type(reversal.equation).__name__
            fitting = " or ".join(_all_fitting(reversal)) or "one whose `orders` names it"
            raise ValueError(f"{self}: this method does not integrate {kind}; choose {fitting}")
        return reversal, FixedGrid(method, self.steps, _spacing(self.spacing, sde, reversal))

    def __str__(self) -> str:
        words = [to_text(self.reversal), *([to_text(self.method)] if self.method else []), self._amount()]
        return "/".join([*words, *([to_text(self.spacing)] if self.spacing else [])])

    def _amount(self) -> str:
        return str(self.steps) if self.tol is None else f"tol={self.tol:g}"


Recipe = Sampler | TunedSampler
"""What `draw` and `compare` take."""


def sampler(text: str) -> Recipe:
    """The sampler of a name in `NAMED`, of `reversal/method/steps/spacing` or of a file; ValueError for anything else."""
    if text.endswith(SUFFIX):
        return TunedSampler.read(text)
    first, *rest = [word.strip() for word in NAMED.get(text.replace("-", "_"), text).split("/")]
    reversal = parse(first)
    if reversal["name"] not in choices("reversal"):
        known = [*NAMED, *choices("reversal")]
        raise ValueError(f"no sampler is called {text!r}; {nearest(reversal['name'], known)}")
    method, steps, spacing, tol = None, STEPS, None, None
    for word in rest:
        if word.isdigit():
            steps = _steps(word)
        elif word.startswith("tol="):
            steps, tol = 0, _tolerance(word)
        elif (named := parse(word))["name"] in spacings():
            spacing = named
        else:
            choose("method", named["name"])
            method = named
    parts = [to_text(spec) for spec in (reversal, method, spacing) if spec is not None]
    parts += [] if tol is None else [f"tol={tol:g}"]
    return Sampler(text if text in NAMED else "/".join(parts), reversal, method, steps, spacing, tol)


def samplers(texts: Sequence[str]) -> list[Recipe]:
    """The samplers of several texts; ValueError when there are none, or two differ in nothing but their steps."""
    found = [sampler(text) for text in texts]
    labels = [recipe.label for recipe in found]
    repeated = [label for label in labels if labels.count(label) > 1]
    if repeated or not found:
        raise ValueError(f"samplers are named once each, and at least one, got {repeated or 'none'}; correct the list")
    return found


def _steps(word: str) -> int:
    if len(word) > 7 or int(word) < 1:
        raise ValueError(f"a number of steps lies between 1 and 9999999, got {word[:20]}")
    return int(word)


def _tolerance(word: str) -> float:
    try:
        return float(word.removeprefix("tol="))
    except ValueError:
        raise ValueError(f"a tolerance is a number, such as tol=1e-4, got {word[:20]!r}") from None


def _to_tolerance(tol: float, reversal: Reversal, named: Spec | None) -> Solver:
    """The adaptive solver of a reversal's equation; ValueError where there is none, or another method is named."""
    from solvers import ItoSDE
    from solvers.adaptive import Adaptive
    from solvers.adaptive_sde import AdaptiveSDE
    from solvers.method import Embedded

    if not reversal.equation.stochastic:
        method: Method = build.method(named or spec("dopri5"))
        if not isinstance(method, Embedded):
            raise ValueError(
                f"to a tolerance go bosh3, dopri5 and tsit5, got {to_text(named or {})}; choose one of them"
            )
        return Adaptive.tol(method, tol)
    if named is not None or not isinstance(reversal.equation, ItoSDE):
        kind = type(reversal.equation).__name__
        raise ValueError(
            f"to a tolerance goes reverse_sde without a method, got {kind} and {named}; leave the method out"
        )
    return AdaptiveSDE.tol(tol)


def _fitting(reversal: Reversal) -> Spec:
    known = _all_fitting(reversal)
    if not known:
        raise ValueError(
            f"no method without arguments integrates {type(reversal.equation).__name__}; name one with its arguments, "
            "such as predictor_corrector(predictor=euler_maruyama)"
        )
    return spec(known[0])


def _all_fitting(reversal: Reversal) -> list[str]:
    """The names of the methods that integrate a reversal's equation and need no arguments."""
    ready = {name: cls for name, cls in choices("method").items() if is_plain(cls)}
    return [name for name, cls in ready.items() if type(reversal.equation) in cls().orders]


def _spacing(named: Spec | None, sde: LinearSDE, reversal: Reversal) -> Spacing:
    """The spacing in the reversal's clock."""
    from sde_diffusion.reversal.sigma_form import sigma_clock
    from solvers import power, through, uniform

    named, clock, level = named or spec("uniform"), reversal.clock, sigma_clock(sde)
    rho = _exponent(named)
    if named["name"] in (published := choices("spacing")):
        return published[named["name"]](sde, clock)
    own = {
        "uniform": uniform,
        "time": clock.spacing(uniform),
        "power": clock.spacing(power(rho)),
        "level": clock.spacing(through(level.from_time, level.to_time, power(rho))),
    }
    return own[named["name"]]


def _exponent(named: Spec) -> float:
    """rho of a spacing; ValueError for an argument that it does not take."""
    usual = EXPONENTS.get(named["name"])
    unknown = set(named) - {"name"} - ({"rho"} if usual else set())
    if unknown:
        raise ValueError(f"the spacing {named['name']} takes no {min(unknown)!r}; power and level take rho")
    return float(named.get("rho", usual or 1.0))
