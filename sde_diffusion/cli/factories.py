"""From names and plain arguments to objects; a name or an argument that nobody knows is one sentence."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli import registry as catalogue
from sde_diffusion.cli.specs import Spec, check_spec, to_text

if TYPE_CHECKING:
    from sde_diffusion.data import DataSource
    from sde_diffusion.denoisers.base import Denoiser
    from sde_diffusion.exact import Law
    from sde_diffusion.metrics import Classifier, Extractor
    from sde_diffusion.parameterization import Parameterization
    from sde_diffusion.reversal import Reversal
    from sde_diffusion.sde import LinearSDE
    from solvers import Method

_NESTED = {
    "Method": "method",
    "OneStep": "method",
    "Weighting": "weighting",
    "TimeDistribution": "time distribution",
}
"""Annotations of arguments that are themselves named: `predictor_corrector(predictor=euler_maruyama)`."""


def process(part: Spec) -> LinearSDE:
    """The forward process."""
    return _construct("process", part)


def parameterization(part: Spec, data_std: float) -> Parameterization:
    """The meaning of the network's output, for data of this standard deviation unless the part says otherwise."""
    return _construct("parameterization", part, data_std)


def network(part: Spec, event_shape: tuple[int, ...], seed: int, sde: LinearSDE | None = None):
    """The backbone for events of this shape, its weights a function of the seed; the global generator is given back.

    The argument `preset` stands for the arguments that the backbone has under this name; others beside it win. One that
    numbers the levels of a chain is told those of the process.
    """
    import torch

    cls = catalogue.choose("network", part["name"])
    part = _with_preset(part, getattr(cls, "presets", {}))
    if sde is not None and "levels" in inspect.signature(cls).parameters:
        from sde_diffusion.sharing.chain import as_chain, levels

        part = {"levels": levels(as_chain(sde)), **part}
    arguments = _arguments("network", part, cls, {_shape_of(cls)})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _called(part, lambda: cls.fitting(tuple(event_shape), **arguments))  # pyright: ignore


def _with_preset(part: Spec, presets: Mapping[str, Mapping[str, Any]]) -> Spec:
    """The part with the arguments of its preset, if it names one, written out."""
    if "preset" not in part:
        return part
    given = dict(part)
    name = str(given.pop("preset"))
    if name not in presets:
        raise ValueError(
            f"the network {part['name']} has no preset {name!r}; {catalogue.nearest(name, presets)}; `info` lists them"
        )
    return {**presets[name], **given}


def _shape_of(cls: Callable[..., Any]) -> str:
    """The first parameter of a backbone, which `fitting` finds from the events' shape."""
    return next(iter(inspect.signature(cls).parameters))


def data(part: Spec) -> DataSource:
    """The data set."""
    return _construct("data set", part)


def objective(part: Spec, data_std: float) -> Callable[..., Any]:
    """The loss; what in it depends on the data's standard deviation is told this one unless the part says otherwise."""
    return _construct("objective", part, data_std)


def method(part: Spec) -> Method:
    """The solver's method."""
    return _construct("method", part)


def law(part: Spec) -> Law:
    """The exactly known law."""
    return _construct("exact law", part)


def extractor(part: Spec, classifier: Callable[[], Classifier]) -> Extractor:
    """What makes features of events; `classifier` is called where an extractor asks for the data's own.

    An extra that is missing is a ValueError that says how to install it.
    """
    function = catalogue.choose("extractor", part["name"])
    parameters = inspect.signature(function).parameters
    asked = [name for name, p in parameters.items() if catalogue.annotation(p) == "Classifier"]
    arguments = _arguments("extractor", part, function, set(asked))
    given = {name: classifier() for name in asked}
    try:
        return _called(part, lambda: function(**given, **arguments))
    except ImportError as error:
        raise ValueError(str(error)) from error


def reversal(part: Spec, sde: LinearSDE, denoiser: Denoiser) -> Reversal:
    """The reverse-time equation of a process and a denoiser; an argument that is itself a reversal is built first."""
    function = catalogue.choose("reversal", part["name"])
    parameters = inspect.signature(function).parameters
    given = {name: value for name, p in parameters.items() if (value := _given(p, sde, denoiser)) is not None}
    inner = [name for name, p in parameters.items() if name in part and catalogue.annotation(p) == "Reversal"]
    built = {**part, **{name: reversal(check_spec(part[name], name), sde, denoiser) for name in inner}}
    arguments = _arguments("reversal", built, function, {*given, "prior"})
    return _called(part, lambda: function(**given, **arguments))


def _given(parameter: inspect.Parameter, sde: LinearSDE, denoiser: Denoiser) -> Any:
    """The process or the denoiser, where a parameter asks for one."""
    kinds = {"SDE": sde, "LinearSDE": sde, "Model": denoiser, "Denoiser": denoiser}
    return kinds.get(catalogue.annotation(parameter))


def _construct(kind: str, part: Spec, data_std: float | None = None) -> Any:
    thing = catalogue.choose(kind, part["name"])
    measured = {"data_std": data_std} if data_std and "data_std" in inspect.signature(thing).parameters else {}
    arguments = {**measured, **_arguments(kind, part, thing, set(), data_std)}
    return _called(part, lambda: thing(**arguments))


def _arguments(
    kind: str, part: Spec, thing: Callable[..., Any], hidden: set[str], data_std: float | None = None
) -> dict[str, Any]:
    """The part's arguments, named ones built; ValueError for one that the callable does not take or still needs."""
    allowed = {name: p for name, p in inspect.signature(thing).parameters.items() if name not in hidden}
    found = {name: value for name, value in part.items() if name != "name"}
    for name, value in found.items():
        if name not in allowed:
            raise ValueError(f"the {kind} {part['name']} takes no {name!r}; {catalogue.nearest(name, allowed)}")
        if nested := _NESTED.get(catalogue.annotation(allowed[name])):
            found[name] = _instance(nested, check_spec(value, name), data_std)
    missing = [name for name, p in allowed.items() if catalogue.is_required(p) and name not in found]
    if missing:
        raise ValueError(f"the {kind} {part['name']} needs {missing[0]!r}; write {part['name']}({missing[0]}=...)")
    return found


def _instance(kind: str, part: Spec, data_std: float | None) -> Any:
    """What a named argument stands for: a function of the wanted kind stands for itself, a class for an instance."""
    thing = catalogue.choose(kind, part["name"])
    if inspect.isclass(thing):
        return _construct(kind, part, data_std)
    if len(part) > 1:
        raise ValueError(f"the {kind} {part['name']} takes no arguments, got {to_text(part)}; leave them out")
    return thing


def _called(part: Mapping[str, Any], call: Callable[[], Any]) -> Any:
    """The call's result; a TypeError, which an argument of the wrong type causes, names the part."""
    try:
        return call()
    except TypeError as error:
        raise ValueError(f"{to_text(dict(part))} cannot be built ({error}); correct its arguments' types") from error
