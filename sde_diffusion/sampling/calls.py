"""`name(argument=value, ...)` as text: read without running anything, and called with a check of the arguments."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_NAME = re.compile(r"[A-Za-z][\w-]*")


@dataclass(frozen=True)
class Call:
    """A name and its arguments; a value is a constant, a list or a `Call` itself."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def check(self, kind: str, function: Callable[..., Any], hidden: set[str] = frozenset()) -> None:  # pyright: ignore
        """Raises ValueError for an argument that `function` does not take, or still needs."""
        allowed = {name: p for name, p in inspect.signature(function).parameters.items() if name not in hidden}
        for name in self.arguments:
            if name not in allowed:
                near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(allowed) or 'none'}"
                raise ValueError(f"the {kind} {self.name} takes no {name!r}; {hint}")
        for name, p in allowed.items():
            required = p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
            if required and name not in self.arguments:
                raise ValueError(f"the {kind} {self.name} needs {name!r}; write {self.name}({name}=...)")

    def __str__(self) -> str:
        words = ", ".join(
            f"{name}={value if isinstance(value, Call) else repr(value)}" for name, value in self.arguments.items()
        )
        return f"{self.name}({words})" if words else self.name


def read_call(text: str) -> Call:
    """The call that a text spells. Raises ValueError for anything else."""
    word = text.strip()
    if _NAME.fullmatch(word):
        return Call(word.replace("-", "_"))
    try:
        return _call(ast.parse(word, mode="eval").body)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ValueError(f"{text!r} is no name with arguments; write name or name(argument=value)") from error


def called(kind: str, function: Callable[..., Any], call: Call) -> Any:
    """The function's result. Raises ValueError for arguments that it does not take, or of a wrong type."""
    call.check(kind, function)
    try:
        return function(**call.arguments)
    except TypeError as error:
        raise ValueError(f"{call} cannot be built ({error}); correct its arguments' types") from error


def _call(node: ast.expr) -> Call:
    if isinstance(node, ast.Name):
        return Call(node.id)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args:
        return Call(node.func.id, {str(word.arg): _value(word.value) for word in node.keywords})
    raise ValueError(ast.dump(node)[:80])


def _value(node: ast.expr) -> Any:
    return _call(node) if isinstance(node, ast.Name | ast.Call) else ast.literal_eval(node)
