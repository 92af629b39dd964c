"""A part of a run, such as its process or its network: the name of an implementation and the arguments to build it.

Written `{name: vp, beta_max: 25}` in YAML, `--sde vp --sde.beta_max 25` on the command line, `vp(beta_max=25)` inside
another word. A bare name is a part without arguments: giving one forgets the arguments of the default.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

Spec = dict[str, Any]
NAMES = ("sde", "parameterization", "network", "data", "objective")
"""The options that are parts."""

_KEBAB = re.compile(r"[A-Za-z][\w-]*")


def spec(name: str, **arguments: Any) -> Spec:
    """{name: name, **arguments}."""
    return {"name": name, **arguments}


def normalise_argv(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with `--sde vp` written as `--sde={"name": "vp"}`, for each option that is a part."""
    words: list[str] = []
    for word in _joined(arguments):
        option, equals, value = word.partition("=")
        bare = option.removeprefix("--") in NAMES and equals and not value.lstrip().startswith("{")
        words.append(f"{option}={json.dumps(parse(value))}" if bare else word)
    return words


def _joined(arguments: Sequence[str]) -> list[str]:
    """The same with `--sde VALUE` as one word `--sde=VALUE`."""
    words: list[str] = []
    for word in arguments:
        if words and words[-1].removeprefix("--") in NAMES and words[-1].startswith("--") and not word.startswith("--"):
            words[-1] = f"{words[-1]}={word}"
        else:
            words.append(word)
    return words


def check_spec(value: Any, option: str) -> Spec:
    """A part from what a configuration says: a name, or a mapping with a name. Raises ValueError for anything else."""
    if isinstance(value, str):
        return parse(value)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError(f"{option} is a name or a mapping with a name, such as {{name: vp}}, got {value!r}; name one")
    return dict(value)


def parse(text: str) -> Spec:
    """The part that `name` or `name(argument=value, ...)` spells; values are constants, lists or parts themselves."""
    spelt = text.strip()
    if _KEBAB.fullmatch(spelt):
        return spec(spelt.replace("-", "_"))
    try:
        return _part(ast.parse(spelt, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no name with arguments; write it as name or name(argument=value)") from error


def _part(node: ast.expr) -> Spec:
    if isinstance(node, ast.Name):
        return spec(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        return spec(node.func.id, **{str(word.arg): _value(word.value) for word in node.keywords})
    raise ValueError(ast.dump(node)[:80])


def _value(node: ast.expr) -> Any:
    return _part(node) if isinstance(node, ast.Name | ast.Call) else ast.literal_eval(node)


def to_text(value: Spec) -> str:
    """The part as `parsed` reads it."""
    arguments = ", ".join(f"{key}={_written(item)}" for key, item in value.items() if key != "name")
    return f"{value['name']}({arguments})" if arguments else value["name"]


def _written(value: Any) -> str:
    return to_text(value) if isinstance(value, dict) and "name" in value else repr(value)
