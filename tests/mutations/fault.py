"""A seeded fault: one change of one function, and the tests that must notice it.

A fault is anchored by the name of what it changes and by code, not by a file and its layout: it survives that a
module is moved, renamed or formatted anew.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.mutations.fragments import Token, places, replaced, tokens, without_outer_brackets

FOLDERS = ("sde_diffusion", "solvers")


class DoesNotApply(ValueError):
    """The code to be changed is not there exactly once, or changing it changes nothing that runs."""


@dataclass(frozen=True)
class Change:
    """The text of a file, named by its path below the project's root, with a fault in it."""

    file: str
    text: str


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` in `where`; `story` says which bug of the field that re-creates, or what it would do.

    `where` is the qualified name of a function or class (`MinSNR.__call__`), or the name of a constant, in any module;
    `weighting:MinSNR.__call__` is that of one module, and `weighting:` the whole module. `old` and `new` are pieces
    of code whose layout does not matter; further lines of `new` are indented relative to its first.
    `tests` is the file that must notice, `only` pytest's -k expression for the few of its tests that are enough.
    """

    name: str
    where: str
    old: str
    new: str
    story: str
    tests: str
    only: str

    def applied_to(self, texts: dict[str, str]) -> Change:
        """The one file with the fault in it, of the project's `texts`. Raises DoesNotApply."""
        spans = self._spans(texts)
        found = self._found(spans, outer_brackets=True) or self._found(spans, outer_brackets=False)
        if len(found) != 1:
            raise DoesNotApply(self._complaint([span for span, _, _ in found]))
        (span, code, place), *_ = found
        changed = span.with_text(replaced(code, place, self.new))
        try:
            same = _what_runs(changed) == _what_runs(span.file_text)
        except SyntaxError as error:
            raise DoesNotApply(f"{self.name}: with {self.new!r} {span.file} is no Python: {error}") from error
        if same:
            raise DoesNotApply(f"{self.name}: the change touches no code; it stands in a docstring or a comment")
        return Change(span.file, changed)

    def _spans(self, texts: dict[str, str]) -> list[Span]:
        module, _, name = self.where.rpartition(":")
        words = name.split(".")
        likely = {f: text for f, text in texts.items() if is_module(f, module) and all(word in text for word in words)}
        spans = [span for file, text in likely.items() for span in definitions(file, text) if span.name == name]
        if not spans:
            raise DoesNotApply(f"{self.name}: nothing has the name {self.where!r}; write the name that it has now")
        return spans

    def _found(self, spans: list[Span], outer_brackets: bool) -> list[tuple[Span, list[Token], slice]]:
        """Each place of `old`, with the code around it."""
        layout = list if outer_brackets else without_outer_brackets
        codes = [(span, layout(tokens(span.code))) for span in spans]
        return [(span, code, place) for span, code in codes for place in places(layout(tokens(self.old)), code)]

    def _complaint(self, found: list[Span]) -> str:
        if not found:
            return f"{self.name}: {self.where} holds {self.old!r} 0 times; quote the code that is there now"
        files = ", ".join(sorted({span.file for span in found}))
        cure = "quote more of it, or write the module first, as in 'weighting:MinSNR'"
        return f"{self.name}: {self.where} holds {self.old!r} {len(found)} times ({files}); {cure}"


@dataclass(frozen=True)
class Span:
    """The lines of a file that define a name: from `first` to before `end`, counted from zero."""

    name: str
    file: str
    file_text: str
    first: int
    end: int

    @property
    def code(self) -> str:
        """The lines, after the line break before them."""
        return "\n" + "\n".join(self.file_text.split("\n")[self.first : self.end])

    def with_text(self, code: str) -> str:
        """The text of the file with other lines here."""
        lines = self.file_text.split("\n")
        return "\n".join([*lines[: self.first], code.removeprefix("\n"), *lines[self.end :]])


def project_texts(root: Path, folders: tuple[str, ...] = FOLDERS) -> dict[str, str]:
    """The text of each Python file of some folders, by its path below the root."""
    files = sorted(file for folder in folders for file in (root / folder).rglob("*.py"))
    return {file.relative_to(root).as_posix(): file.read_text(encoding="utf-8") for file in files}


def is_module(file: str, name: str) -> bool:
    """Whether the file is the module that `weighting` or `objectives.weighting` names; an empty name is any module's."""
    dotted = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    return not name or f".{dotted}".endswith(f".{name}")


@cache
def definitions(file: str, text: str) -> tuple[Span, ...]:
    """The functions, classes and constants of a module, and under an empty name all of it. Raises SyntaxError."""
    named = [
        Span(name, file, text, _first_line(node) - 1, node.end_lineno or 0) for name, node in _named(ast.parse(text))
    ]
    return Span("", file, text, 0, text.count("\n") + 1), *named


def _named(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.stmt]]:
    """The qualified names below a node. A function's own variables have none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield prefix + child.name, child
            yield from _named(child, f"{prefix}{child.name}.")
        elif isinstance(child, (ast.Assign, ast.AnnAssign)) and isinstance(node, (ast.Module, ast.ClassDef)):
            yield from ((prefix + name, child) for name in _targets(child))
        elif isinstance(child, ast.stmt):
            yield from _named(child, prefix)


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [part.id for target in targets for part in ast.walk(target) if isinstance(part, ast.Name)]


def _first_line(node: ast.stmt) -> int:
    return min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", []))])


@cache
def _what_runs(text: str) -> str:
    """The syntax tree without docstrings. Raises SyntaxError."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.dump(tree)
