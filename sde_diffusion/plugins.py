"""Find implementations by walking packages, so that one new idea is one new file and nothing is listed twice.

`KINDS` says what is looked for where:

- a class is found when it is concrete, public and derived from the kind's base, in a module of the package at any depth,
  or in what an installed distribution offers under the entry-point group `sde_diffusion.plugins`. Its name is its own
  class attribute `name`, else its class name in snake case: HeunRK -> heun_rk, FashionMNIST -> fashion_mnist;
- a function, or a class whose instances are called, is found by its return annotation: `-> Reversal`, `-> Weights`.

`resolver` makes objects of names with arguments, and back.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from types import ModuleType
from typing import Any

from sde_diffusion.specs import nearest

GROUP = "sde_diffusion.plugins"

Choices = Mapping[str, Callable[..., Any]]

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True)
class Kind:
    """One kind of thing that has names.

    Attributes:
        package: where its implementations are.
        base: the class they derive from, `module:Name`; empty for what is found by its return annotation.
        returns: the name of the return annotation that tells them.
        table: a mapping `module:NAME` of names to functions that the package itself keeps, in the place of both.
        given: annotations of the arguments that the program gives; what needs any other argument to be called has no name
            here. None: whatever it needs is written as an argument of the spec.
        wants: the annotation of an argument that they must take.
        asked_as: the annotations by which an argument of another thing asks for one of this kind.
    """

    package: str
    base: str = ""
    returns: str = ""
    table: str = ""
    given: frozenset[str] | None = None
    wants: str = ""
    asked_as: tuple[str, ...] = ()


def _given(*names: str) -> frozenset[str]:
    return frozenset(names)


KINDS: Mapping[str, Kind] = {
    "process": Kind("sde_diffusion.sde", base="sde_diffusion.sde:LinearSDE"),
    "parameterization": Kind("sde_diffusion.parameterization", base="sde_diffusion.parameterization:Parameterization"),
    "network": Kind("sde_diffusion.networks", base="sde_diffusion.networks:Backbone"),
    "data set": Kind("sde_diffusion.data", base="sde_diffusion.data:DataSource"),
    "augmentation": Kind("sde_diffusion.data", base="sde_diffusion.data.augmentation:Augmentation"),
    "objective": Kind("sde_diffusion.objectives", returns="Losses"),
    "weighting": Kind("sde_diffusion.objectives", returns="Weights", asked_as=("Weighting",)),
    "time distribution": Kind("sde_diffusion.objectives", returns="Times", asked_as=("TimeDistribution",)),
    "spread of times": Kind("sde_diffusion.objectives", returns="Shares", asked_as=("Uniforms",)),
    "sampler": Kind("sde_diffusion.sampling", table="sde_diffusion.sampling.named:SAMPLERS"),
    "reversal": Kind(
        "sde_diffusion.reversal", returns="Reversal", asked_as=("Reversal",),
        given=_given("SDE", "LinearSDE", "Model", "Denoiser", "Reversal"),
    ),
    "method": Kind("solvers.methods", base="solvers:Method", given=_given("Method"), asked_as=("Method", "OneStep")),
    "spacing": Kind("sde_diffusion.reversal", returns="Spacing", given=_given("LinearSDE"), wants="Clock"),
    "guidance": Kind("sde_diffusion.guidance", base="sde_diffusion.guidance:Guidance"),
    "exact law": Kind("sde_diffusion.exact.problems", returns="*", given=_given()),
    "extractor": Kind("sde_diffusion.metrics.extractors", returns="Extractor", given=_given("Classifier")),
}  # fmt: skip
"""What there is of each kind: the single list, by strings alone, so that nothing is imported before it is asked for."""


FIELD_NAMES: Mapping[str, Mapping[str, str]] = {
    "process": {
        "vpsde": "vp", "vesde": "ve", "subvpsde": "sub_vp", "linear": "vp", "flow": "rectified", "flow_matching": "rectified",
        "rectified_flow": "rectified", "ncsn": "ve", "smld": "ve", "karras": "edm",
    },
    "network": {
        "resnet": "unet", "ddpm": "unet", "adm": "unet", "ncsnpp": "unet", "transformer": "dit", "vit": "dit",
        "linear": "mlp", "time_mlp": "mlp",
    },
    "parameterization": {
        "eps": "noise", "epsilon": "noise", "v": "velocity", "v_prediction": "velocity", "x0": "data", "sample": "data",
        "denoiser": "data", "flow_matching": "flow", "rectified_flow": "flow", "flow_prediction": "flow",
    },
    "objective": {"dsm": "denoising_score_matching", "ism": "implicit_score_matching", "ssm": "sliced_score_matching"},
    "guidance": {"classifier_free": "cfg", "classifier_free_guidance": "cfg", "projected": "apg", "ramped": "ramped_cfg"},
    "weighting": {"uniform": "simple", "eps": "simple", "edm": "edm_weighting", "ml": "likelihood", "flow_matching": "flow",
        "choi": "p2",
    },
    "time distribution": {"lognormal": "log_normal_level", "sd3": "logit_normal", "uniform": "uniform_time"},
}  # fmt: skip
"""Names that the papers and other libraries use, and ours, by kind: they are suggested, not taken."""


@cache
def choices(kind: str) -> Choices:
    """The implementations of a kind by their names, sorted. The package is walked once, when it is first asked for."""
    found = KINDS[kind]
    if found.table:
        room, _, name = found.table.partition(":")
        return getattr(importlib.import_module(room), name)
    if found.base:
        room, _, name = found.base.partition(":")
        named: Choices = implementations(found.package, getattr(importlib.import_module(room), name))
    else:
        named = dict(sorted(_returning(found.package, found.returns)))
    return {name: thing for name, thing in named.items() if _fits(found, thing)}


def choose(kind: str, name: str) -> Callable[..., Any]:
    """The implementation of that kind called `name` (snake or kebab case); ValueError suggests the nearest name."""
    known = choices(kind)
    for spelt in (name, snake(name)):
        if spelt in known:
            return known[spelt]
    raise ValueError(f"no {kind} is called {name[:100]!r}; {nearest(snake(name), known, FIELD_NAMES.get(kind))}")


def summary(thing: Any) -> str:
    """The first paragraph of a docstring; of the module's where the thing's own only points at an equation there."""
    words = inspect.getdoc(thing) or ""
    if words.startswith("Equation"):
        words = inspect.getdoc(inspect.getmodule(thing)) or words
    return " ".join(words.split("\n\n")[0].split())


def snake(name: str) -> str:
    """HeunRK -> heun_rk; a kebab-case name becomes snake case too."""
    return _WORD_START.sub("_", name).replace("-", "_").lower()


def name_of(cls: type) -> str:
    """The name an implementation goes by: its own (not an inherited) string attribute `name`, else `snake`."""
    own = vars(cls).get("name")
    return own if isinstance(own, str) else snake(cls.__name__)


def implementations(package: ModuleType | str, base: type) -> dict[str, type]:
    """Every concrete public subclass of `base` in the package, its sub-packages and the plug-ins, by name, sorted.

    Raises ValueError when two classes claim one name, and ImportError when a plug-in cannot be loaded.
    """
    found: dict[str, type] = {}
    for cls in _candidates(package):
        if not (issubclass(cls, base) and _is_concrete(cls)):
            continue
        if found.setdefault(name_of(cls), cls) is not cls:
            raise ValueError(
                f"{_path(found[name_of(cls)])} and {_path(cls)} are both called {name_of(cls)!r}; "
                "give one of them another class attribute `name`"
            )
    return dict(sorted(found.items()))


def find(package: ModuleType | str, base: type, name: str) -> type:
    """The implementation called `name` (snake or kebab case); an unknown name is a ValueError that suggests one."""
    known = implementations(package, base)
    for spelt in (name, snake(name)):
        if spelt in known:
            return known[spelt]
    raise ValueError(f"no {base.__name__} is called {name!r}; {nearest(snake(name), known)}")


def _candidates(package: ModuleType | str) -> Iterator[type]:
    root = importlib.import_module(package) if isinstance(package, str) else package
    yield from _classes_of(root)
    for info in pkgutil.walk_packages(root.__path__, root.__name__ + "."):
        yield from _classes_of(importlib.import_module(info.name))
    for entry in metadata.entry_points(group=GROUP):
        yield from _classes_offered(entry)


def _classes_of(module: ModuleType) -> Iterator[type]:
    """The classes a module defines, without those it imports."""
    return (value for value in vars(module).values() if inspect.isclass(value) and value.__module__ == module.__name__)


def _classes_offered(entry: metadata.EntryPoint) -> Iterator[type]:
    try:
        offered = entry.load()
    except Exception as error:
        raise ImportError(
            f"the plug-in {entry.name} = {entry.value} cannot be loaded ({error}); repair or uninstall its distribution"
        ) from error
    return iter([offered]) if inspect.isclass(offered) else _classes_of(offered)


def _is_concrete(cls: type) -> bool:
    return not inspect.isabstract(cls) and not cls.__name__.startswith("_")


def _path(cls: type) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _returning(package: str, word: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions that return what is annotated as `word` ("*": anything), and classes whose instances do when called."""
    for name, value in _public(package):
        if inspect.isfunction(value) and word in ("*", _returns(value)):
            yield name, value
        elif inspect.isclass(value) and "__call__" in vars(value) and _returns(vars(value)["__call__"]) == word:
            yield name_of(value), value


def _public(package: str) -> Iterator[tuple[str, Any]]:
    """What the modules of a package define under a public name, once each."""
    root = importlib.import_module(package)
    names = [info.name for info in pkgutil.walk_packages(getattr(root, "__path__", []), package + ".")]
    for module in [root, *map(importlib.import_module, names)]:
        for name, value in vars(module).items():
            if getattr(value, "__module__", None) == module.__name__ and not name.startswith("_"):
                yield name, value


def _fits(kind: Kind, thing: Callable[..., Any]) -> bool:
    wanted = [annotation(p) for p in parameters(thing)]
    one = not kind.wants or sum(map(is_required, parameters(thing))) == 1
    return one and (not kind.wants or kind.wants in wanted) and (kind.given is None or is_plain(thing, kind.given))


def is_plain(thing: Callable[..., Any], given: Iterable[str] = ()) -> bool:
    """Whether all that a callable requires is among the kinds (names of annotations) that the program can give it."""
    return all(annotation(p) in given for p in parameters(thing) if is_required(p))


def parameters(thing: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a function, or of a class's constructor."""
    return list(inspect.signature(thing).parameters.values())


def is_required(parameter: inspect.Parameter) -> bool:
    """Whether a call must give it."""
    several = (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    return parameter.default is parameter.empty and parameter.kind not in several


def annotation(parameter: inspect.Parameter) -> str:
    """The name of a parameter's annotation, whether it was kept as a string or evaluated."""
    kind = parameter.annotation
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))


def _returns(function: Callable[..., Any]) -> str:
    kind = getattr(function, "__annotations__", {}).get("return", "")
    return kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
