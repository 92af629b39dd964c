"""A component as plain data: the name of an implementation and the arguments to build it.

    {"name": "vp", "beta_max": 25}                in a configuration or a folder of weights
    vp(beta_max=25)                               as text, on the command line

In text an argument is a number, a quoted string, a list, a component, or a bare word such as a path. A number keeps the
text it was written as, so that an argument that is annotated `str` gets `2024` or `1e5` as they were typed.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any, TypeVar

T = TypeVar("T")

Spec = dict[str, Any]

LONGEST, DEEPEST = 2**15, 16
"""Characters of the longest text that is read, and the deepest nesting."""

_NAME = re.compile(r"[A-Za-z][\w-]*")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|\.\d+(?:[eE][-+]?\d+)?|inf|nan)")
_STRING = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"", re.DOTALL)
_WORD = re.compile(r"[^,()\[\]{}'\"]+")
_CONSTANTS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}


class Integer(int):
    """A whole number with the text that it was read from."""

    text: str


class Real(float):
    """A real number with the text that it was read from."""

    text: str


def number(text: str) -> Integer | Real:
    """The number that a text spells, with the text itself as its attribute `text`; ValueError for no number."""
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{text!r} is not a number; write one such as 3 or 1e-4")
    value = Integer(text) if re.fullmatch(r"[-+]?\d+", text) else Real(text)
    value.text = text
    return value


def spec(name: str, **arguments: Any) -> Spec:
    """{"name": name, **arguments}."""
    return {"name": name, **arguments}


def check_spec(value: Any, option: str) -> Spec:
    """A spec from what a configuration holds: a name, or a mapping with a name. Raises ValueError for anything else."""
    if isinstance(value, str):
        return parse(value)
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError(f"{option} is a name or a mapping with a name, such as {{name: vp}}, got {value!r}; name one")
    return dict(value)


def parse(text: str) -> Spec:
    """The spec that `name` or `name(argument=value, ...)` spells. Raises ValueError for any other text."""
    spelt = text.strip()
    if _NAME.fullmatch(spelt):
        return spec(spelt.replace("-", "_"))
    try:
        return _Reader(spelt).whole()
    except ValueError as error:
        raise ValueError(
            f"{text[:200]!r} is not a name with arguments ({error}); write it as name or name(argument=value)"
        ) from error


def to_text(value: Spec) -> str:
    """The spec as `parse` reads it."""
    arguments = ", ".join(f"{key}={_value_text(item)}" for key, item in value.items() if key != "name")
    return f"{value['name']}({arguments})" if arguments else value["name"]


def _value_text(value: Any) -> str:
    return to_text(value) if isinstance(value, dict) and "name" in value else repr(value)


def nearest(name: str, known: Iterable[str], field_names: Mapping[str, str] | None = None) -> str:
    """`did you mean ...?` with the known name that is meant, or all known names where none is near.

    `field_names` maps names that other libraries use to ours, and comes before the spelling.
    """
    names = list(known)
    if (ours := (field_names or {}).get(name)) in names:
        return f"did you mean {ours!r}?"
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"


class _Reader:
    """Reads a text from left to right; every method reads one thing and leaves the place after it."""

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} characters")
        self.text, self.place, self.depth = text, 0, 0

    def whole(self) -> Spec:
        found = self.value()
        if self.place != len(self.text) or not isinstance(found, dict) or "name" not in found:
            raise ValueError(
                f"unexpected {self.text[self.place :][:20]!r}" if self.place < len(self.text) else "no name"
            )
        return found

    def value(self) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError(f"it nests deeper than {DEEPEST} levels")
        found = self._value()
        self._blank()
        self.depth -= 1
        return found

    def _value(self) -> Any:
        self._blank()
        if self._take("["):
            return self._items("]")
        if self._take("("):
            return tuple(self._items(")"))
        if self._take("{"):
            return dict(self._pair(self.value_or_key) for _ in self._until("}"))
        if string := _STRING.match(self.text, self.place):
            self.place = string.end()
            return ast.literal_eval(string[0])
        return self._word()

    def value_or_key(self) -> str:
        return str(self.value()) if self.text[self.place : self.place + 1] in "'\"" else self._match(_NAME)

    def _word(self) -> Any:
        word = self._match(_WORD).strip()
        if word in _CONSTANTS:
            return _CONSTANTS[word]
        if _NUMBER.fullmatch(word):
            return number(word)
        called = bool(_NAME.fullmatch(word)) and self._take("(")
        if not called and not word.isidentifier():
            return word
        arguments = dict(self._pair(lambda: self._match(_NAME), "=") for _ in self._until(")")) if called else {}
        return spec(word.replace("-", "_"), **arguments)

    def _items(self, end: str) -> list[Any]:
        return [self.value() for _ in self._until(end)]

    def _pair(self, key: Any, between: str = ":") -> tuple[str, Any]:
        self._blank()
        name = key().strip()
        self._blank()
        if not self._take(between):
            raise ValueError(f"an argument is written name{between}value")
        return name, self.value()

    def _until(self, end: str) -> Iterable[None]:
        """Once for each item of a list that ends with `end`."""
        self._blank()
        while not self._take(end):
            yield
            self._blank()
            if not self._take(",") and self.text[self.place : self.place + 1] != end:
                raise ValueError(f"expected {end!r} or a comma")
            self._blank()

    def _match(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self.text, self.place)
        if not found:
            raise ValueError(
                f"unexpected {self.text[self.place :][:20]!r}" if self.place < len(self.text) else "it ends early"
            )
        self.place = found.end()
        return found[0]

    def _take(self, letter: str) -> bool:
        found = self.text.startswith(letter, self.place)
        self.place += found
        return found

    def _blank(self) -> None:
        while self.text[self.place : self.place + 1].isspace():
            self.place += 1


def other_names(ours: Mapping[str, str], note: Callable[[str], str] = lambda name: "") -> Callable[[type[T]], type[T]]:
    """A class decorator: an argument under another library's name is refused with ours, {"beta_start": "beta_min"}.

    `note(name)` ends the sentence.
    """

    def decorated(cls: type[T]) -> type[T]:
        made = cls.__init__

        @wraps(made)
        def init(self: T, *args: Any, **kwargs: Any) -> None:
            for name in kwargs.keys() & ours.keys():
                raise TypeError(f"{cls.__name__} calls {name} {ours[name]!r}; write {ours[name]}=...{note(name)}")
            made(self, *args, **kwargs)

        cls.__init__ = init  # pyright: ignore[reportAttributeAccessIssue]
        return cls

    return decorated
