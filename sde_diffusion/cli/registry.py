"""What there is to choose from, found by walking the packages: classes by their base, functions by what they take.

A weighting is whatever takes (sde, t), a distribution of times whatever takes (sde, u), an objective whatever takes
(denoiser, sde, x0, ...), a reversal a function that returns a `Reversal`: a new file is found without being listed. The
packages are walked once, when something in them is first asked for.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from sde_diffusion.plugins import implementations, name_of

Choices = Mapping[str, Callable[..., Any]]


@cache
def processes() -> Choices:
    """The linear processes, which have the closed-form kernels that training and the samplers need."""
    from sde_diffusion.sde import LinearSDE

    return dict(implementations("sde_diffusion.sde", LinearSDE))


@cache
def parameterizations() -> Choices:
    """What a network's output may mean."""
    from sde_diffusion.parameterization import Parameterization

    return dict(implementations("sde_diffusion.parameterization", Parameterization))


@cache
def networks() -> Choices:
    """The backbones."""
    from sde_diffusion.networks import Backbone

    return dict(implementations("sde_diffusion.networks", Backbone))


@cache
def data_sets() -> Choices:
    """The data sources."""
    from sde_diffusion.data import DataSource

    return dict(implementations("sde_diffusion.data", DataSource))


@cache
def methods() -> Choices:
    """The solvers' methods that can be built from a name and plain arguments."""
    from solvers import Method

    known = implementations("solvers.methods", Method)
    return {name: cls for name, cls in known.items() if is_plain(cls, {"Method"})}


@cache
def reversals() -> Choices:
    """The functions that turn a process and a denoiser into a `Reversal`."""
    found = {
        name: f for name, f in _functions("sde_diffusion.reversal") if f.__annotations__.get("return") == "Reversal"
    }
    given = {"SDE", "LinearSDE", "Model", "Denoiser", "Reversal"}
    return {name: f for name, f in sorted(found.items()) if is_plain(f, given)}


@cache
def spacings() -> Choices:
    """The functions of `reversal` that lay out a grid for a process and a clock."""
    found = {
        name: f for name, f in _functions("sde_diffusion.reversal") if f.__annotations__.get("return") == "Spacing"
    }
    return {name: f for name, f in sorted(found.items()) if _needs(f) == ["sde"] and "clock" in f.__annotations__}


@cache
def objectives() -> Choices:
    """The losses."""
    return dict(_taking("sde_diffusion.objectives", ("denoiser", "sde", "x0")))


@cache
def weightings() -> Choices:
    """The weights of a loss as a function of time."""
    return dict(_taking("sde_diffusion.objectives", ("sde", "t"), whole=True))


@cache
def time_distributions() -> Choices:
    """Where the times of a loss are drawn."""
    return dict(_taking("sde_diffusion.objectives", ("sde", "u"), whole=True))


@cache
def extractors() -> Choices:
    """The functions that return an `Extractor`: in which numbers `evaluate` compares."""
    found = {
        name: f
        for name, f in _functions("sde_diffusion.metrics.extractors")
        if f.__annotations__.get("return") == "Extractor"
    }
    return {name: f for name, f in sorted(found.items()) if is_plain(f, {"Classifier"})}


@cache
def laws() -> Choices:
    """The exactly known laws: the functions of `exact.problems` that can be called without arguments."""
    from sde_diffusion.exact import problems

    return {name: f for name, f in _functions(problems.__name__) if is_plain(f, set())}


KINDS: dict[str, Callable[[], Choices]] = {
    "process": processes,
    "parameterization": parameterizations,
    "network": networks,
    "data set": data_sets,
    "objective": objectives,
    "weighting": weightings,
    "time distribution": time_distributions,
    "reversal": reversals,
    "method": methods,
    "spacing": spacings,
    "exact law": laws,
    "extractor": extractors,
}
"""What there is of each kind."""


def choose(kind: str, name: str) -> Callable[..., Any]:
    """The implementation of a kind by its name; ValueError with the nearest name for an unknown one."""
    known = KINDS[kind]()
    key = name.replace("-", "_").lower()
    if key not in known:
        raise ValueError(f"no {kind} is called {name!r}; {nearest(key, known)}")
    return known[key]


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean ...?` with the nearest of the known names, and all of them where none is near."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known) or 'none'}"


def summary(thing: Any) -> str:
    """The first paragraph of a docstring; of the module's where the thing's own only points at an equation there."""
    words = inspect.getdoc(thing) or ""
    if words.startswith("Equation"):
        words = inspect.getdoc(inspect.getmodule(thing)) or words
    return " ".join(words.split("\n\n")[0].split())


def _taking(package: str, first: tuple[str, ...], whole: bool = False) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, and classes whose instances are called, whose parameters begin with (or are) the given names."""
    callables = [(name, thing, thing) for name, thing in _functions(package)]
    callables += [(name_of(cls), cls, cls.__call__) for cls in _callable_classes(package)]
    for name, thing, call in sorted(callables, key=lambda row: row[0]):
        names = tuple(name for name in inspect.signature(call).parameters if name != "self")
        if names == first if whole else names[: len(first)] == first:
            yield name, thing


def _functions(package: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    return ((name, value) for name, value in _public(package) if inspect.isfunction(value))


def _callable_classes(package: str) -> Iterator[type]:
    return (cls for _, cls in _public(package) if inspect.isclass(cls) and "__call__" in vars(cls))


def _public(package: str) -> Iterator[tuple[str, Any]]:
    """What the modules of a package define under a public name, once each."""
    root = importlib.import_module(package)
    names = [info.name for info in pkgutil.walk_packages(getattr(root, "__path__", []), package + ".")]
    for module in [root, *map(importlib.import_module, names)]:
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_"):
                yield name, value


def is_plain(thing: Callable[..., Any], given: set[str]) -> bool:
    """Whether all that a callable requires is among the kinds (names of annotations) that the program can give it."""
    wanted = (p for p in inspect.signature(thing).parameters.values() if is_required(p))
    return all(annotation(p) in given for p in wanted)


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether a call must give it."""
    several = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in several


def _needs(thing: Callable[..., Any]) -> list[str]:
    """The names of the parameters that a call must give."""
    return [name for name, p in inspect.signature(thing).parameters.items() if is_required(p)]


def annotation(parameter: inspect.Parameter) -> str:
    """The name of a parameter's annotation, whether it was kept as a string or evaluated."""
    kind = parameter.annotation
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
