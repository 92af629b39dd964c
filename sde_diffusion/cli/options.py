"""From a dataclass to the options of a command and back: the dataclass is the single list of what can be asked.

A field of a plain type becomes `--field`, which for a bool may stand alone and then means true; a field that is itself a
dataclass becomes `--field.part` for each of its fields. What an option means stands in the `Attributes:` section of the dataclass's docstring.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

from jsonargparse import (
    ActionConfigFile,  # pyright: ignore[reportPrivateImportUsage]
    ArgumentParser,
    Namespace,
    set_loader,
)

from sde_diffusion.cli import yaml_text

MODE = "plain_yaml"
T = TypeVar("T")
_OLD = re.compile(r"[-+]?[0-9._]*[_:][0-9._:eE+-]*|[-+]?0b[01_]+|\+0[0-9]+")
"""Texts that YAML 1.1 takes for numbers and YAML 1.2 does not: `1:30`, `1_000`, `0b11`."""

set_loader(MODE, yaml_text.load, (ValueError,))


def parser(**options: Any) -> ArgumentParser:
    """A parser that reads YAML with `yaml_text` and raises jsonargparse's ArgumentError for what it refuses."""
    return ArgumentParser(parser_mode=MODE, exit_on_error=False, allow_abbrev=False, **options)


def add_options(target: ArgumentParser, cls: type, prefix: str = "", values: Any = None) -> None:
    """Add an option for each field of a dataclass, with its type and help; its defaults, or those of `values`."""
    hints, words = get_type_hints(cls), attributes(cls)
    group = target.add_argument_group(prefix.rstrip(".") or "arguments")
    for field in dataclasses.fields(cls):
        hint, name = hints[field.name], prefix + field.name
        usual = default(field) if values is None else getattr(values, field.name)
        if dataclasses.is_dataclass(hint):
            add_options(target, hint, name + ".", usual)  # pyright: ignore[reportArgumentType]
        elif field.metadata.get("positional"):
            optional = {} if usual is dataclasses.MISSING else {"nargs": "?", "default": usual}
            group.add_argument(name, type=hint, help=words.get(field.name), **optional)
        else:
            spelt = [f"--{prefix}{other}" for other in (field.name, *field.metadata.get("aliases", ()))]
            bare: dict[str, Any] = {"nargs": "?", "const": True} if hint is bool else {}
            group.add_argument(*spelt, type=hint, default=usual, help=words.get(field.name), **bare)


def add_config_option(target: ArgumentParser) -> None:
    """Add `--config FILE`, which reads a YAML file of the other options."""
    target.add_argument("--config", action=ActionConfigFile, help="a YAML file of these options; later options win")


def positional(**options: Any) -> Any:
    """A field given by its place on the command line."""
    return dataclasses.field(metadata={"positional": True}, **options)


def also_called(*names: str, default: Any) -> Any:
    """A field whose option has other names as well."""
    return dataclasses.field(metadata={"aliases": names}, default=default)


def names(cls: type, prefix: str = "") -> list[str]:
    """The options of a dataclass, with dots before the fields of a dataclass within it."""
    found, hints = [], get_type_hints(cls)
    for field in dataclasses.fields(cls):
        hint, name = hints[field.name], prefix + field.name
        found += [name, *(names(hint, name + ".") if dataclasses.is_dataclass(hint) else [])]  # pyright: ignore
    return found


def filled(cls: type[T], values: Namespace) -> T:
    """The dataclass from parsed values; its own checks raise TypeError or ValueError."""
    hints = get_type_hints(cls)
    parts = {}
    for field in dataclasses.fields(cls):  # pyright: ignore[reportArgumentType]
        value, hint = values[field.name], hints[field.name]
        parts[field.name] = filled(hint, value) if dataclasses.is_dataclass(hint) else value  # pyright: ignore
    return cls(**parts)


def default(field: dataclasses.Field) -> Any:
    """The default of a field, from its factory where it has one; dataclasses.MISSING without one."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def attributes(cls: type) -> dict[str, str]:
    """Name -> sentence of the `Attributes:` sections of a class and its bases; the class's own words win."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        section = re.search(r"Attributes:\n((?:[ ]{4}.*\n?|\n)*)", inspect.cleandoc(base.__dict__.get("__doc__") or ""))
        entries = re.split(r"\n(?=[ ]{4}\w)", section[1].rstrip()) if section else []
        for entry in entries:
            name, _, words = entry.strip().partition(":")
            found[name] = " ".join(words.split())
    return found


def refuse_old_numbers(words: Sequence[str], configurations: Sequence[str], settings: type) -> None:
    """Raises ValueError for one among the words of a command, or the texts of its configurations; `settings` says what is one.

    The parser falls back on YAML 1.1 for a text in the place of a number, and `1:30` would be 90.
    """
    numeric = _numeric(settings)
    for name, value in _given(words):
        _refuse(name, _listed(value), numeric)
    for text in configurations:
        for name, value in _flat(yaml_text.load(text)):
            _refuse(name, value, numeric)


def _refuse(name: str, value: Any, numeric: set[str]) -> None:
    for one in value if isinstance(value, list) else [value]:
        if name in numeric and isinstance(one, str) and _OLD.fullmatch(one.strip()):
            raise ValueError(f"--{name} takes a number such as 3 or 0.001, got {one[:80]!r}; write its digits alone")


def _numeric(settings: type, prefix: str = "") -> set[str]:
    """The options of a dataclass, and of those within it, that take numbers and no texts."""
    found, hints = set(), get_type_hints(settings)
    for field in dataclasses.fields(settings):
        hint, name = hints[field.name], prefix + field.name
        if dataclasses.is_dataclass(hint):
            found |= _numeric(hint, f"{name}.")  # pyright: ignore[reportArgumentType]
        elif (kinds := set(_kinds(hint))) & {int, float} and str not in kinds:
            names = (field.name, *field.metadata.get("aliases", ()))
            found |= {prefix + spelt for spelt in names}
    return found


def _kinds(hint: Any) -> Iterator[Any]:
    yield hint
    for part in get_args(hint):
        yield from _kinds(part)


def _given(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The options and their values: `--name=value`, and `--name` with all words up to the next option."""
    name = ""
    for word in words:
        if word.startswith("--"):
            name, equals, value = word.removeprefix("--").partition("=")
            if equals:
                yield name, value
        else:
            yield name, word


def _listed(value: str) -> list[str]:
    """The elements of a list on the command line, `[8, 1_6]`, or the value itself."""
    return [part.strip(" '\"") for part in value.strip(" []").split(",")]


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _flat(part, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value
