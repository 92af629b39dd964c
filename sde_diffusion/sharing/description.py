"""A model as plain data and back: each part is the name of an implementation and the arguments to build it.

The names are those that walking the packages finds (`discovery`), plug-ins included: data can choose among them and
nothing else.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from typing import Any

from sde_diffusion.plugins import find, implementations, name_of

Spec = dict[str, Any]


def spec_of(thing: Any, package: str, base: type) -> Spec:
    """The name and arguments of a network, or of a dataclass such as a process.

    Defaults are written out: they may be others in the version that reads it.

    Raises TypeError for what the package does not hold, and so cannot be found by its name again.
    """
    name = name_of(type(thing))
    if implementations(package, base).get(name) is not type(thing):
        raise TypeError(
            f"{type(thing).__name__} is none of the implementations in {package} and cannot be found again by a name; "
            "offer it as a plug-in, or share the run itself"
        )
    arguments = _called_with(thing) if not dataclasses.is_dataclass(thing) else _fields(thing)
    return {"name": name, **arguments}


def _called_with(network: Any) -> dict[str, Any]:
    parameters = inspect.signature(type(network)).parameters.items()
    return {name: p.default for name, p in parameters if p.default is not p.empty} | network.arguments


def _fields(thing: Any) -> dict[str, Any]:
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing) if field.init}


def build(part: Any, package: str, base: type) -> Any:
    """What the part describes. Raises ValueError for an unknown name or argument, or for what is no part."""
    if not isinstance(part, dict) or not isinstance(part.get("name"), str):
        raise ValueError(f"a part is a mapping with a name, got {str(part)[:40]!r}")
    cls = find(package, base, part["name"][:100])
    arguments = {name: value for name, value in part.items() if name != "name"}
    check_arguments(cls, arguments, f"the {base.__name__} {part['name']}")
    return cls(**arguments)


def check_arguments(cls: type, arguments: dict[str, Any], who: str) -> None:
    """Raises ValueError for an argument that the class does not take."""
    allowed = inspect.signature(cls).parameters
    for name in arguments:
        if name not in allowed:
            near = difflib.get_close_matches(name, allowed, n=1)
            raise ValueError(
                f"{who} takes no {name[:40]!r}"
                + (f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(allowed)}")
            )
