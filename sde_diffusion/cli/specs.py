"""The options that are components: `--sde vp --sde.beta_max 25`, `--sde 'vp(beta_max=25)'`, `{name: vp, beta_max: 25}`.

A bare name is a component without arguments: giving one forgets the arguments of the default.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sde_diffusion import specs
from sde_diffusion.cli.hints import data_hint
from sde_diffusion.data_paths import source_at
from sde_diffusion.specs import Spec, number

NAMES = ("sde", "parameterization", "network", "data", "augment", "objective")
"""The options that are components."""

TEXT = "text of a number"


def normalise_argv(arguments: Sequence[str]) -> list[str]:
    """The arguments of a command with `--sde vp` written as `--sde={"name": "vp"}`, for each option that is a component.

    A number keeps its text: `--data.root 2024` names a folder.
    """
    words = _joined(arguments)
    _check_order(words)
    return [_normalised(word) for word in words]


def _check_order(words: list[str]) -> None:
    """Raises ValueError for an argument of a component before its name, which would forget it."""
    options = [word.partition("=")[0].removeprefix("--") for word in words if word.startswith("--")]
    for name in NAMES:
        early = options[: options.index(name)] if name in options else []
        for option in early:
            if option.startswith(f"{name}."):
                raise ValueError(f"--{option} stands before --{name}, which forgets it; write it after")


def _normalised(word: str) -> str:
    option, equals, value = word.partition("=")
    name, dot, _ = option.removeprefix("--").partition(".")
    if not equals or name not in NAMES or value.lstrip().startswith("{"):
        return word
    if not dot:
        return f"{option}={json.dumps(_with_texts(parse(value, name)))}"
    try:
        return f"{option}={json.dumps(_with_texts(number(value)))}"
    except ValueError:
        return word


def _with_texts(value: Any) -> Any:
    """The value with each number as a mapping that holds its text, which is how it passes through the parser."""
    if isinstance(value, specs.Integer | specs.Real):
        return {TEXT: value.text}
    if isinstance(value, list | tuple):
        return [_with_texts(item) for item in value]
    return {key: _with_texts(item) for key, item in value.items()} if isinstance(value, dict) else value


def _with_numbers(value: Any) -> Any:
    """The inverse of `_with_texts`."""
    if isinstance(value, dict):
        return number(value[TEXT]) if set(value) == {TEXT} else {key: _with_numbers(v) for key, v in value.items()}
    return [_with_numbers(item) for item in value] if isinstance(value, list) else value


def _joined(arguments: Sequence[str]) -> list[str]:
    """The same with `--sde VALUE` and `--sde.beta_max VALUE` as one word."""
    words: list[str] = []
    for word in arguments:
        if words and _is_open(words[-1]) and not word.startswith("--"):
            words[-1] = f"{words[-1]}={word}"
        else:
            words.append(word)
    return words


def _is_open(word: str) -> bool:
    """Whether a word is such an option without its value."""
    return word.startswith("--") and "=" not in word and word.removeprefix("--").partition(".")[0] in NAMES


def check_spec(value: Any, option: str) -> Spec:
    """A spec from what a configuration holds: a name, or a mapping with a name. Raises ValueError for anything else."""
    return parse(value, option) if isinstance(value, str) else specs.check_spec(_with_numbers(value), option)


def parse(text: str, option: str = "") -> Spec:
    """`specs.parse`; for data, a path is the data source that reads what lies there."""
    if option == "data" and (own := source_at(text)) is not None:
        return own
    try:
        return specs.parse(text)
    except ValueError:
        if option == "data" and (hint := data_hint(text)):
            raise ValueError(hint) from None
        raise
