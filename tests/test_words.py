"""No private vocabulary where a reader meets the project: public names, messages, docstrings and pages.

The words below meant something in this project alone. Each rule is shown to catch an offender and to pass an innocent
before it is applied to the repository.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ("sde_diffusion", "solvers")
SPOKEN = (*LIBRARY, "benchmarks")  # their strings and docstrings count too
NOT_PAGES = ("CHANGELOG.md",)  # what was done under the names of its time

PRIVATE = re.compile(
    r"(told|roads?|doors?|judge[sd]?|judging|yardsticks?|journeys?|elsewhere|tally|tallies|tallied|forgiven|lent)", re.I
)
WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # the words of snake_case and of CamelCase
Functions = (ast.FunctionDef, ast.AsyncFunctionDef)
Described = (ast.Module, ast.ClassDef, *Functions)


class Found(NamedTuple):
    """A private word, and where it stands."""

    path: str
    line: int
    word: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word!r} in {self.text.strip()[:70]!r}"


Rule = Callable[[str, str], Iterator[Found]]


def private_words(text: str) -> list[str]:
    """The private words of a sentence or a name, at word boundaries: `front_door` has one and `backdoor` none."""
    return [word for word in WORD.findall(text) if PRIVATE.fullmatch(word)]


def in_names(path: str, text: str) -> Iterator[Found]:
    """Public functions, classes, arguments, fields, constants, and the file's own name."""
    for line, name in [(1, Path(path).stem), *_names(ast.parse(text))]:
        yield from (Found(path, line, word, name) for word in private_words(name))


def _names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in getattr(tree, "body", []):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not node.name.startswith("_"):
            yield node.lineno, node.name
        if isinstance(node, Functions) and (not node.name.startswith("_") or node.name == "__init__"):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
            yield from ((one.lineno, one.arg) for one in every if one is not None)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _names(node)
        if isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            names = [name.id for one in targets for name in ast.walk(one) if isinstance(name, ast.Name)]
            yield from ((node.lineno, name) for name in names if not name.startswith("_"))


def in_strings(path: str, text: str) -> Iterator[Found]:
    """Every string that is no docstring: errors, warnings, what is printed, titles of tables and plots."""
    tree = ast.parse(text)
    described = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in described:
            yield from (Found(path, node.lineno, word, node.value) for word in private_words(node.value))


def in_docstrings(path: str, text: str) -> Iterator[Found]:
    """Docstrings of modules, and of public classes and functions; strings below a constant."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, Described) and not getattr(node, "name", "").startswith("_"):
            for line in [one for one in node.body if _is_text(one)]:
                for offset, words in enumerate(line.value.value.split("\n")):
                    yield from (Found(path, line.lineno + offset, word, words) for word in private_words(words))


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def in_page(path: str, text: str) -> Iterator[Found]:
    """Every line of a page, its code too."""
    for number, line in enumerate(text.split("\n"), 1):
        yield from (Found(path, number, word, line) for word in private_words(line))


@cache
def tracked() -> tuple[str, ...]:
    """The repository's files; without git, all but those of hidden folders and of environments."""
    asked = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if (ROOT / ".git").exists():
        found = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.split("\0")
    else:
        found = [path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*")]
        found = [path for path in found if not re.search(r"(^|/)(\.\w|venv/|build/|dist/|runs/)", path)]
    return tuple(sorted(path for path in found if path and (ROOT / path).is_file()))


def python(tops: tuple[str, ...]) -> list[str]:
    return [path for path in tracked() if path.endswith(".py") and path.split("/")[0] in tops]


def pages() -> list[str]:
    return [path for path in tracked() if path.endswith(".md") and path not in NOT_PAGES]


def found_in(rule: Rule, paths: list[str]) -> list[str]:
    return [str(one) for path in paths for one in rule(path, (ROOT / path).read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("rule", "tops"),
    [(in_names, LIBRARY), (in_strings, SPOKEN), (in_docstrings, SPOKEN)],
    ids=["in_names", "in_strings", "in_docstrings"],
)
def test_the_library_speaks_the_fields_words(rule, tops):
    assert {path.split("/")[0] for path in python(tops)} == set(tops), "the library was not found"
    found = found_in(rule, python(tops))
    assert not found, "\n".join(found)


def test_the_pages_speak_the_fields_words():
    assert {"README.md", "CONTRIBUTING.md", "docs/glossary.md"} <= set(pages())
    found = found_in(in_page, pages())
    assert not found, "\n".join(found)


OFFENDERS = [
    (in_names, "def judge(x):\n    pass\n"),
    (in_names, "class FrontDoor:\n    pass\n"),
    (in_names, "class A:\n    def look(self, told):\n        pass\n"),
    (in_names, "class A:\n    def __init__(self, *, tally=0):\n        pass\n"),
    (in_names, "@dataclass\nclass A:\n    lent: int = 0\n"),
    (in_names, "ELSEWHERE = 1\n"),
    (in_strings, 'def f(x):\n    raise ValueError(f"got {x}, which was not told")\n'),
    (in_strings, 'warnings.warn("the journey ends")\n'),
    (in_strings, 'print("a yardstick")\n'),
    (in_strings, 'ax.set_title("judged by features")\n'),
    (in_docstrings, '"""A module of doors."""\n'),
    (in_docstrings, 'class A:\n    """Forgiven steps."""\n'),
    (
        in_docstrings,
        'class A:\n    def f(self):\n        """First line.\n\n        It is kept elsewhere.\n        """\n',
    ),
    (in_docstrings, 'A = 1\n"""How many are told."""\n'),
    (in_page, "# The road\n"),
]
INNOCENTS = [
    (in_names, "def backdoor(equivalent, totally=0):\n    judgement = 1\n"),
    (in_names, "def _judge(told):\n    pass\n"),
    (in_names, "class _Door:\n    lent: int = 0\n"),
    (in_strings, 'raise ValueError("roadmap, outdoors and equivalent")\n'),
    (in_strings, '"""The road."""\n'),
    (in_docstrings, 'def _f():\n    """The road."""\n'),
    (in_docstrings, 'print("the road")\n'),
    (in_docstrings, '"""Excellent, silent and broad."""\n'),
    (in_page, "A backdoor, a roadster, indoors; tolden, prelent.\n"),
]


@pytest.mark.parametrize(("rule", "text"), OFFENDERS, ids=lambda case: getattr(case, "__name__", None))
def test_an_offender_is_found(rule, text):
    assert list(rule("sde_diffusion/room/file.py", text))


@pytest.mark.parametrize(("rule", "text"), INNOCENTS, ids=lambda case: getattr(case, "__name__", None))
def test_an_innocent_passes(rule, text):
    assert not list(rule("sde_diffusion/room/file.py", text))


def test_the_name_of_a_file_counts():
    assert list(in_names("sde_diffusion/sharing/door.py", ""))
    assert not list(in_names("sde_diffusion/sharing/safe_load.py", ""))


@pytest.mark.parametrize(
    "word", ["told", "road", "door", "judge", "yardstick", "journey", "elsewhere", "tally", "forgiven", "lent"]
)
def test_every_word_of_the_list_is_private(word):
    assert private_words(f"a {word}.") == [word]
    assert private_words(f"a_{word}_b") == [word]
    assert not private_words(f"x{word}y")
