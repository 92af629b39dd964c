"""Names with arguments to objects, and back: one resolver for the command line, shared folders and a run's record.

`build` makes the object of a `Spec`, `spec_of` gives the `Spec` of an object. What is built within another object, such as
the weighting of a loss, is named in the same way: the annotation of the argument says which kind is asked for.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sde_diffusion.plugins import KINDS, annotation, choices, choose, is_required, parameters
from sde_diffusion.specs import Integer, Real, Spec, check_spec, nearest, spec, to_text

CUSTOM = "custom"
"""The name in the spec of an object of a class that no package holds."""

_TYPES: Mapping[str, tuple[Any, str]] = {
    "int": (int, "a whole number"), "float": ((int, float), "a number"), "bool": (bool, "true or false"),
    "str": (str, "a text"), "None": (type(None), "null"),
}  # fmt: skip
"""Annotations whose values are checked, with the types that they take, in Python and in words."""

_ASKED_AS = {word: name for name, kind in KINDS.items() for word in kind.asked_as}


def build(kind: str, part: Spec, given: Mapping[str, Any] | None = None, usual: Mapping[str, Any] | None = None) -> Any:
    """The object that a spec describes.

    `given` holds values for arguments of these annotations, such as {"LinearSDE": sde}; `usual` holds values for arguments
    of these names, used by this object and those within it unless the spec has others. Raises ValueError for an unknown
    name or argument, one that is missing, or one of the wrong type.
    """
    if part["name"] == CUSTOM:
        raise ValueError(f"the {kind} is of the class {part.get('class')}, which only its own code can build; give it")
    thing = choose(kind, part["name"])
    filled = {p.name: given[annotation(p)] for p in parameters(thing) if given and annotation(p) in given}
    found = arguments(kind, part, thing, given, usual, hidden=filled)
    return called(part, lambda: thing(**{**filled, **found}))


def arguments(
    kind: str,
    part: Spec,
    thing: Callable[..., Any],
    given: Mapping[str, Any] | None = None,
    usual: Mapping[str, Any] | None = None,
    hidden: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a spec as the callable takes them: named things built, texts as they were typed.

    Arguments called as in `hidden` are not the spec's to give. Raises ValueError as `build` does.
    """
    allowed = {p.name: p for p in parameters(thing) if p.name not in (hidden or {})}
    found = {name: value for name, value in (usual or {}).items() if name in allowed}
    for name, value in part.items():
        if name == "name":
            continue
        if name not in allowed:
            raise ValueError(f"the {kind} {part['name']} takes no {name[:40]!r}; {nearest(name, allowed)}")
        found[name] = _argument(name, value, allowed[name], given, usual)
    missing = [name for name, p in allowed.items() if is_required(p) and name not in found]
    if missing:
        raise ValueError(f"the {kind} {part['name']} needs {missing[0]!r}; write {part['name']}({missing[0]}=...)")
    return found


def _argument(name: str, value: Any, parameter: inspect.Parameter, given: Any, usual: Any) -> Any:
    if (nested := _asked(parameter)) and value is not None:
        part = check_spec(value, name)
        thing = choose(nested, part["name"])
        if inspect.isclass(thing) or KINDS[nested].given is not None:
            return build(nested, part, given, usual)
        if len(part) > 1:
            raise ValueError(f"the {nested} {part['name']} takes no arguments, got {to_text(part)}; leave them out")
        return thing
    return _typed(name, written(value, _is_text(parameter)), parameter)


def _typed(name: str, value: Any, parameter: inspect.Parameter) -> Any:
    """The value, where it is of a number's or a truth value's type as annotated; ValueError for one of another type."""
    kinds = annotation(parameter).split(" | ")
    known = [_TYPES[kind] for kind in kinds if kind in _TYPES]
    if "int" in kinds and isinstance(value, float) and value.is_integer():
        return int(value)
    truth = isinstance(value, bool) and "bool" not in kinds
    if len(known) == len(kinds) and (truth or not any(isinstance(value, types) for types, _ in known)):
        raise ValueError(f"{name} is {' or '.join(words for _, words in known)}, got {str(value)[:80]!r}; correct it")
    return value


def written(value: Any, text: bool = False) -> Any:
    """A value read from text as plain data: where a text is wanted, a number and a bare word are what was typed."""
    if isinstance(value, Integer | Real):
        return value.text if text else (int(value) if isinstance(value, Integer) else float(value))
    if text and isinstance(value, dict) and set(value) == {"name"}:
        return value["name"]
    if text and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list | tuple):
        return type(value)(written(item, text) for item in value)
    return {key: written(item) for key, item in value.items()} if isinstance(value, dict) else value


def canonical(kind: str, part: Spec) -> Spec:
    """The spec as plain data, its arguments of the type that the implementation asks for; unknown names stay as they are."""
    known = choices(kind).get(part["name"])
    taken = {p.name: p for p in parameters(known)} if known else {}
    return {
        name: written(value, name in taken and _is_text(taken[name])) if name != "name" else value
        for name, value in part.items()
    }


def completed(kind: str, part: Spec) -> Spec:
    """The spec with the arguments that it does not name, at their defaults, as `spec_of` writes them; one of no known name as it is."""
    known = choices(kind).get(part["name"])
    if not inspect.isclass(known):
        return part
    usual = {p.name: _plain(p, p.default) for p in parameters(known) if not is_required(p) and p.default is not p.empty}
    return {**usual, **part}


def spec_of(kind: str, thing: Any) -> Spec:
    """The spec that `build` makes such an object of; defaults are written out, for they may change.

    An object of a class that no package holds gets {"name": "custom", "class": "module:Name"}: it is recorded and
    compared, and cannot be built again.
    """
    known = choices(kind)
    name = next((name for name, value in known.items() if value is thing or value is type(thing)), None)
    if name is None:
        return _custom(thing)
    if known[name] is thing:
        return spec(name)
    return spec(name, **{p.name: _plain(p, value) for p, value in _called_with(thing)})


def is_custom(part: Spec) -> bool:
    """Whether a spec records an object that cannot be built again."""
    return part.get("name") == CUSTOM


def _called_with(thing: Any) -> Iterator[tuple[inspect.Parameter, Any]]:
    """The parameters of an object's constructor with what it was called with: its fields, or its `arguments`."""
    kept: Mapping[str, Any] | None = getattr(thing, "arguments", None)
    for parameter in parameters(type(thing)):
        if kept is None and not hasattr(thing, parameter.name):
            raise TypeError(
                f"{type(thing).__name__} does not keep its argument {parameter.name!r}; make it a dataclass, or keep it "
                "under this name"
            )
        value = getattr(thing, parameter.name) if kept is None else kept.get(parameter.name, parameter.default)
        if value is not parameter.empty:
            yield parameter, value


def _plain(parameter: inspect.Parameter, value: Any) -> Any:
    nested = _asked(parameter)
    if nested is not None and value is not None:
        return spec_of(nested, value)
    return _custom(value) if callable(value) else value


def _custom(thing: Any) -> Spec:
    """The record of an object that no package holds."""
    cls = thing if inspect.isroutine(thing) or inspect.isclass(thing) else type(thing)
    return spec(CUSTOM, **{"class": f"{cls.__module__}:{cls.__qualname__}"})


def called(part: Mapping[str, Any], call: Callable[[], Any]) -> Any:
    """The call's result; a TypeError, which an argument of the wrong type causes, becomes a ValueError with the spec."""
    try:
        return call()
    except TypeError as error:
        raise ValueError(f"{to_text(dict(part))} cannot be built ({error}); correct its arguments' types") from error


def _asked(parameter: inspect.Parameter) -> str | None:
    """The kind that an argument asks for, or None for plain data."""
    return _ASKED_AS.get(annotation(parameter).split(" | ")[0])


def _is_text(parameter: inspect.Parameter) -> bool:
    """Whether an argument is annotated `str`, alone or with None or a path, or as several of them."""
    return annotation(parameter).split(" | ")[0] in ("str", "tuple[str, ...]")
