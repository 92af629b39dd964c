"""A deliberate fault: one change of one file, and the tests that must notice it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path


class DoesNotApply(ValueError):
    """The text to be changed is not there exactly once, or changing it changes nothing that runs."""


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` in `file`; `story` says which bug of the field that re-creates, or what it would do.

    `tests` is the file that must notice, `only` pytest's -k expression for the few of its tests that are enough.
    """

    name: str
    file: str
    old: str
    new: str
    story: str
    tests: str
    only: str

    def applied_to(self, root: Path) -> str:
        """The text of the file with the fault in it. Raises DoesNotApply."""
        text = (root / self.file).read_text(encoding="utf-8") if (root / self.file).is_file() else ""
        found = text.count(self.old)
        if found != 1:
            raise DoesNotApply(f"{self.name}: {self.file} holds {self.old!r} {found} times; quote it anew")
        changed = text.replace(self.old, self.new)
        if _code(changed) == _code(text):
            raise DoesNotApply(f"{self.name}: the change touches no code; it stands in a docstring or a comment")
        return changed


def _code(text: str) -> str:
    """What Python would run: the syntax tree without docstrings. Raises SyntaxError."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body[0] = ast.Pass()
    return ast.dump(tree)
