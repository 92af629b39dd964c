"""Samplers as text: a name, or an equation and a method, then a budget and a time grid, separated by `/`.

    dpmpp_2m                                    a named sampler with its own budget and grid
    ddim(eta=0.5)/50                            with an argument, in 50 steps
    heun/nfe=20/karras                          in 20 denoiser calls, on another grid
    adaptive_ode/tol=1e-5                       to a tolerance
    DPM++ 2M Karras                             a name of another library (`aliases`)
    data_form(eta=0.5)/exponential_euler/50     an equation of `sde_diffusion.reversal` and a method of `solvers.methods`
    probability_flow/heun/20/power(rho=2)
    solver.json                                 a file of `sde-diffusion tune`

Without a method an equation takes the first method that integrates it; with `tol=` Dormand-Prince, or `AdaptiveSDE`. Grids:
`sampling.spacings`; an equation without one is solved on `log_snr`.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable
from functools import cache, partial
from typing import Any, NamedTuple

from sde_diffusion.plugins import implementations
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sampling.aliases import ALIASES, OTHERS, SUFFIXES, normalised
from sde_diffusion.sampling.budget import Budget, Steps, Tol, budget
from sde_diffusion.sampling.calls import Call, called, read_call
from sde_diffusion.sampling.named import SAMPLERS
from sde_diffusion.sampling.sampler import Form, FormSampler, Sampler, ToTolerance
from sde_diffusion.sampling.spacings import GRIDS, Grid, log_snr
from sde_diffusion.sampling.tuned import Tuned
from solvers.adaptive import Adaptive
from solvers.adaptive_sde import AdaptiveSDE
from solvers.method import Embedded, Method
from solvers.methods.dopri5 import Dopri5

FILE = ".json"
STEPS = 50
"""The steps of an equation and a method without a budget."""


class Words(NamedTuple):
    """What follows the first word."""

    budget: Budget | None
    grid: Grid | None
    method: Call | None


def parse(text: str) -> Sampler:
    """The sampler of a text. Raises ValueError, one sentence, for anything else; FileNotFoundError for a file that is none."""
    if text.strip().endswith(FILE):
        return Tuned.load(text.strip())
    first, *rest = [word.strip() for word in text.split("/")]
    words = _words(rest)
    if words.method is not None or _is_equation(first):
        return _of_parts(read_call(first), words)
    sampler, grid = _named(first)
    return _with_words(sampler, words._replace(grid=words.grid or grid))


def parse_all(texts: Iterable[str]) -> list[Sampler]:
    """The samplers of several texts; ValueError when there are none, or two differ in nothing but their budget."""
    found = [parse(text) for text in texts]
    labels = [sampler.label for sampler in found]
    repeated = sorted({label for label in labels if labels.count(label) > 1})
    if repeated or not found:
        raise ValueError(f"name at least one sampler, and each of them once, got {', '.join(repeated) or 'none'} twice")
    return found


def _named(first: str) -> tuple[Sampler, Grid | None]:
    """The sampler of a name with its arguments, and the grid that the name's last word asks for."""
    name, bracket, arguments = first.partition("(")
    known, _, grid = _known(normalised(name)).partition("/")
    call = read_call(known + bracket + arguments)
    return called("sampler", SAMPLERS[known], call), GRIDS[grid]() if grid else None


def _known(name: str) -> str:
    """`sampler` or `sampler/grid` of a name; ValueError for an unknown one."""
    plain = name.replace("_", "")
    squeezed = {alias.replace("_", ""): target for alias, target in {**{n: n for n in SAMPLERS}, **ALIASES}.items()}
    if plain in squeezed:
        return squeezed[plain]
    for alias, words in OTHERS.items():
        if plain == alias.replace("_", ""):
            raise ValueError(f"no sampler is called {name!r}: {words}")
    for suffix, grid in SUFFIXES.items():
        if name.endswith("_" + suffix):
            return f"{_known(name.removesuffix('_' + suffix)).partition('/')[0]}/{grid}"
    raise ValueError(f"no sampler is called {name!r}; {nearest(name, [*SAMPLERS, *ALIASES])}")


def nearest(name: str, names: Iterable[str]) -> str:
    """`did you mean ...?` with the nearest of some names, as the sampler that it stands for; else all samplers."""
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    if near:
        return f"did you mean {ALIASES.get(near[0], near[0])!r}?"
    return f"known: {', '.join(SAMPLERS)}"


def _words(words: list[str]) -> Words:
    budgets, grids, methods = [], [], []
    for word in words:
        if (amount := _budget(word)) is not None:
            budgets.append(amount)
        elif (call := read_call(word)).name in GRIDS:
            grids.append(called("time grid", GRIDS[call.name], call))
        elif call.name in methods_by_name():
            methods.append(call)
        else:
            known = [*GRIDS, *methods_by_name()]
            hint = difflib.get_close_matches(call.name, known, n=1, cutoff=0.5) or ["log_snr"]
            raise ValueError(f"{word!r} is no number of steps, time grid or method; did you mean {hint[0]!r}?")
    for kind, found in (("budget", budgets), ("time grid", grids), ("method", methods)):
        if len(found) > 1:
            raise ValueError(f"a sampler takes one {kind}, got {' and '.join(map(str, found))}; leave one out")
    return Words(*(found[0] if found else None for found in (budgets, grids, methods)))


def _budget(word: str) -> Budget | None:
    """`20`, `nfe=20`, `steps=20` or `tol=1e-4`; None for any other word."""
    name, equals, value = word.rpartition("=")
    if not equals:
        return Steps(int(word[:12])) if word.isdecimal() else None
    if name not in ("steps", "nfe", "tol"):
        return None
    try:
        amount = float(value) if name == "tol" else int(value[:12])
    except ValueError as error:
        such = "tol=1e-4" if name == "tol" else f"{name}=20"
        raise ValueError(f"{word[:20]!r} is no {name}; write {such}") from error
    return budget(**{name: amount})  # pyright: ignore[reportArgumentType]


def _with_words(sampler: Sampler, words: Words) -> Sampler:
    """A named sampler with another grid and another budget."""
    chosen = words.budget or sampler.budget
    if words.grid is not None:
        _no_grid_to_a_tolerance(chosen, words.grid)
        if not isinstance(sampler, FormSampler):
            raise ValueError(f"{sampler.label} has a time grid of its own, got {words.grid}; leave it out")
        sampler = sampler.with_spacing(words.grid)
    return sampler if words.budget is None else sampler.with_budget(words.budget)


def _no_grid_to_a_tolerance(chosen: Budget, grid: Grid | None) -> None:
    if isinstance(chosen, Tol) and grid is not None:
        raise ValueError(f"a tolerance chooses its own steps, got the time grid {grid} too; leave one out")


def _is_equation(first: str) -> bool:
    name = first.partition("(")[0].strip().replace("-", "_")
    return name in equations() and name not in SAMPLERS and name not in ALIASES


def _of_parts(equation: Call, words: Words) -> FormSampler:
    """A sampler of an equation and a method that are named apart."""
    if equation.name not in equations():
        raise ValueError(f"no equation is called {equation.name!r}; {_near(equation.name, equations())}")
    chosen = words.budget or Steps(STEPS)
    _no_grid_to_a_tolerance(chosen, words.grid)
    form = _form(equation)
    kind = type(form(*_probe()).equation)
    adaptive = isinstance(chosen, Tol) and not kind.stochastic  # pyright: ignore[reportAttributeAccessIssue]
    method = _method(words.method) if words.method else (Dopri5() if adaptive else _fitting(kind))
    if kind not in method.orders:
        known = " or ".join(_all_fitting(kind)) or "one whose `orders` names it"
        raise ValueError(f"{words.method} does not integrate {equation.name}, {kind.__name__}; choose {known}")
    parts = [str(part) for part in (equation, words.method, words.grid) if part is not None]
    solver = _adaptive(kind, words.method, method)
    return FormSampler("/".join(parts), form, method, words.grid or log_snr(), chosen, solver)


def _probe() -> tuple[Any, Any]:
    """A process and a denoiser of any kind: what kind of equation a form gives does not depend on them."""
    from sde_diffusion.exact.denoiser import ExactDenoiser
    from sde_diffusion.exact.gaussian import Gaussian
    from sde_diffusion.sde.vp import VP

    return VP(), ExactDenoiser(Gaussian([0.0], [[1.0]]))


def _adaptive(kind: type, named: Call | None, method: Method) -> ToTolerance | None:
    """The solver for a tolerance: an embedded pair for a deterministic equation, the pair of `AdaptiveSDE` for an ItoSDE."""
    if not kind.stochastic:  # pyright: ignore[reportAttributeAccessIssue]
        pair = method if named is not None else Dopri5()
        return partial(Adaptive.tol, pair) if isinstance(pair, Embedded) else None
    return AdaptiveSDE.tol if named is None and kind.__name__ == "ItoSDE" else None


def _form(call: Call) -> Form:
    """(sde, denoiser) -> Reversal of an equation's name and arguments, one of which may be an equation itself."""
    function = equations()[call.name]
    parameters = inspect.signature(function).parameters
    places = {name: place for name, p in parameters.items() if (place := _PLACES.get(_kind(p))) is not None}
    call.check("equation", function, hidden={*places, "prior"})
    inner = {name: _form(value) for name, value in call.arguments.items() if isinstance(value, Call)}

    def form(sde: Any, denoiser: Any) -> Reversal:
        given = {name: (sde, denoiser)[place] for name, place in places.items()}
        built = {name: inside(sde, denoiser) for name, inside in inner.items()}
        return function(**given, **{**call.arguments, **built})

    form.__name__ = str(call)
    return form


_PLACES = {"SDE": 0, "LinearSDE": 0, "Model": 1, "Denoiser": 1}


def _kind(parameter: inspect.Parameter) -> str:
    kind = parameter.annotation
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _method(call: Call) -> Method:
    if call.name not in methods_by_name():
        raise ValueError(f"no method is called {call.name!r}; {_near(call.name, methods_by_name())}")
    built = {name: _method(value) if isinstance(value, Call) else value for name, value in call.arguments.items()}
    return called("method", methods_by_name()[call.name], Call(call.name, built))


def _fitting(kind: type) -> Method:
    known = _all_fitting(kind)
    if not known:
        raise ValueError(
            f"no method without arguments integrates {kind.__name__}; name one, such as "
            "predictor_corrector(predictor=euler_maruyama)"
        )
    return methods_by_name()[known[0]]()


def _all_fitting(kind: type) -> list[str]:
    return [name for name, cls in methods_by_name().items() if _plain(cls) and kind in cls().orders]


def _plain(cls: Callable[..., Any]) -> bool:
    return all(p.default is not p.empty for p in inspect.signature(cls).parameters.values())


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"


@cache
def equations() -> dict[str, Callable[..., Reversal]]:
    """The functions of `sde_diffusion.reversal` that return a `Reversal`, by name."""
    package = importlib.import_module("sde_diffusion.reversal")
    modules = [
        importlib.import_module(f"{package.__name__}.{info.name}") for info in pkgutil.iter_modules(package.__path__)
    ]
    found = {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
    return {name: f for name, f in sorted(found.items()) if f.__annotations__.get("return") == "Reversal" and _given(f)}


def _given(function: Callable[..., Any]) -> bool:
    """Whether a process, a denoiser and text give all that a function needs."""
    needed = (p for p in inspect.signature(function).parameters.values() if p.default is p.empty)
    return all(_kind(p) in (*_PLACES, "Reversal") for p in needed)


@cache
def methods_by_name() -> dict[str, type[Method]]:
    """The methods of `solvers.methods`, by name."""
    return implementations("solvers.methods", Method)
