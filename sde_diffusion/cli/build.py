"""From names and plain arguments to objects; a name or an argument that nobody knows is one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli import catalogue
from sde_diffusion.cli.parts import Part, checked, written

if TYPE_CHECKING:
    from sde_diffusion.data import DataSource
    from sde_diffusion.denoiser import Denoiser
    from sde_diffusion.exact import Law
    from sde_diffusion.parameterization import Parameterization
    from sde_diffusion.reversal import Reversal
    from sde_diffusion.sde import LinearSDE
    from solvers import Method

_NESTED = {
    "Method": "method",
    "Weighting": "weighting",
    "TimeDistribution": "time distribution",
}
"""Annotations of arguments that are themselves named: `predictor_corrector(predictor=euler_maruyama)`."""


def process(part: Part) -> LinearSDE:
    """The forward process."""
    return _construct("process", part)


def parameterization(part: Part, data_std: float) -> Parameterization:
    """The meaning of the network's output, for data of this standard deviation unless the part says otherwise."""
    return _construct("parameterization", {"name": part["name"], "data_std": data_std, **part})


def network(part: Part, event_shape: tuple[int, ...], seed: int):
    """The backbone for events of this shape, its weights a function of the seed; the global generator is given back."""
    import torch

    cls = catalogue.choose("network", part["name"])
    arguments = _arguments("network", part, cls, set())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _called(part, lambda: cls.fitting(tuple(event_shape), **arguments))  # pyright: ignore


def data(part: Part) -> DataSource:
    """The data set."""
    return _construct("data set", part)


def objective(part: Part) -> Callable[..., Any]:
    """The loss."""
    return _construct("objective", part)


def method(part: Part) -> Method:
    """The solver's method."""
    return _construct("method", part)


def law(part: Part) -> Law:
    """The exactly known law."""
    return _construct("exact law", part)


def reversal(part: Part, sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """The reverse-time equation of a process and a denoiser; an argument that is itself a reversal is built first."""
    function = catalogue.choose("reversal", part["name"])
    parameters = inspect.signature(function).parameters
    given = {name: value for name, p in parameters.items() if (value := _given(p, sde, denoiser)) is not None}
    inner = [name for name, p in parameters.items() if name in part and catalogue.annotation(p) == "Reversal"]
    built = {**part, **{name: reversal(checked(part[name], name), sde, denoiser) for name in inner}}
    arguments = _arguments("reversal", built, function, {*given, "prior"})
    return _called(part, lambda: function(**given, **arguments))


def _given(parameter: inspect.Parameter, sde: LinearSDE, denoiser: Denoiser) -> Any:
    """The process or the denoiser, where a parameter asks for one."""
    kinds = {"SDE": sde, "LinearSDE": sde, "Model": denoiser, "Denoiser": denoiser}
    return kinds.get(catalogue.annotation(parameter))


def _construct(kind: str, part: Part) -> Any:
    thing = catalogue.choose(kind, part["name"])
    arguments = _arguments(kind, part, thing, set())
    return _called(part, lambda: thing(**arguments))


def _arguments(kind: str, part: Part, thing: Callable[..., Any], hidden: set[str]) -> dict[str, Any]:
    """The part's arguments, named ones built; ValueError for one that the callable does not take or still needs."""
    allowed = {name: p for name, p in inspect.signature(thing).parameters.items() if name not in hidden}
    found = {}
    for name, value in part.items():
        if name == "name":
            continue
        if name not in allowed:
            raise ValueError(f"the {kind} {part['name']} takes no {name!r}; {catalogue.nearest(name, allowed)}")
        nested = _NESTED.get(catalogue.annotation(allowed[name]))
        found[name] = _instance(nested, checked(value, name)) if nested else value
    missing = [name for name, p in allowed.items() if catalogue.is_required(p) and name not in found]
    if missing:
        raise ValueError(f"the {kind} {part['name']} needs {missing[0]!r}; write {part['name']}({missing[0]}=...)")
    return found


def _instance(kind: str, part: Part) -> Any:
    """What a named argument stands for: a function that needs no arguments stands for itself."""
    thing = catalogue.choose(kind, part["name"])
    return _construct(kind, part) if inspect.isclass(thing) else thing


def _called(part: Mapping[str, Any], call: Callable[[], Any]) -> Any:
    """The call's result; a TypeError, which an argument of the wrong type causes, names the part."""
    try:
        return call()
    except TypeError as error:
        raise ValueError(f"{written(dict(part))} cannot be built ({error}); correct the types of its arguments") from error

