"""From a dataclass to the options of a command and back: the dataclass is the single list of what can be asked.

A field of a plain type becomes `--field`; a field that is itself a dataclass becomes `--field.part` for each of its
fields. What an option means stands in the `Attributes:` section of the dataclass's docstring.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from typing import Any, TypeVar, get_type_hints

from jsonargparse import (
    ActionConfigFile,  # pyright: ignore[reportPrivateImportUsage]
    ArgumentParser,
    Namespace,
    set_loader,
)

from sde_diffusion.cli import yaml_text

MODE = "plain_yaml"
T = TypeVar("T")

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
            group.add_argument(*spelt, type=hint, default=usual, help=words.get(field.name))


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
