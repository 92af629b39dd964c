"""Lists on the command line: `--budgets 8 16 32` means `--budgets [8,16,32]`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints


def join_lists(arguments: Sequence[str], settings: type) -> list[str]:
    """The arguments of one command, the words after an option of a list type joined into one.

    `settings` is the command's dataclass. Words that are no numbers end a list of numbers. Raises ValueError for
    `--sampler` where the command takes the list `--samplers`.
    """
    kinds = list_options(settings)
    found: list[str] = []
    kind: Any = None
    values: list[str] = []
    for word in [*arguments, "--"]:
        if kind is not None and not word.startswith("--") and _is(kind, word):
            values.append(word)
            continue
        found += [] if not values else [values[0] if _is_list(values) else _joined(kind, values)]
        values = []
        _refuse_singular(word, kinds, settings)
        kind = kinds.get(word.removeprefix("--")) if word.startswith("--") else None
        found.append(word)
    return found[:-1]


def list_options(settings: type) -> dict[str, Any]:
    """Field -> type of its elements, for the fields of a list type."""
    hints = get_type_hints(settings)
    return {field.name: kind for field in dataclasses.fields(settings) if (kind := _element(hints[field.name]))}


def _element(hint: Any) -> Any:
    """The type of a list's elements; None for other types."""
    if get_origin(hint) is list:
        return get_args(hint)[0]
    return next((kind for part in get_args(hint) if (kind := _element(part))), None)


def _is(kind: Any, word: str) -> bool:
    """Whether a word can be an element, or a list spelt as one word."""
    if kind is str or word.startswith("["):
        return True
    try:
        float(word)
    except ValueError:
        return False
    return True


def _is_list(values: list[str]) -> bool:
    return len(values) == 1 and values[0].startswith("[")


def _joined(kind: Any, values: list[str]) -> str:
    return f"[{', '.join(map(json.dumps, values) if kind is str else values)}]"


def _refuse_singular(word: str, kinds: dict[str, Any], settings: type) -> None:
    """ValueError for `--sampler` or `--sampler=x` where only the list `--samplers` exists."""
    name = word.removeprefix("--").partition("=")[0]
    fields = {field.name for field in dataclasses.fields(settings)}
    if word.startswith("--") and name not in fields and f"{name}s" in kinds:
        raise ValueError(f"--{name} is --{name}s here, a list of one or more; write --{name}s FIRST SECOND")
