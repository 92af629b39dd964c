"""Random changes of single operators and constants in the core, each tried on the tests; `benchmarks.random_faults` counts.

A change is tried on the test files that import its module, the most specific ones first; the suite must pass without
it. A survivor is a missing test, or a change that makes no difference to any result. A change that no module can be imported
with is noticed.
"""

from __future__ import annotations

import ast
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from hashlib import sha256
from pathlib import Path

from tests.mutations.fault import Change, project_texts
from tests.mutations.importers import relevant_tests
from tests.mutations.run import as_they_come
from tests.mutations.trial import (
    ROOT,
    Outcome,
    copy_project,
    try_change,
)

PACKAGES = ("sde", "reversal", "parameterization", "objectives", "exact", "kernel.py")
CORE = ("solvers/", *(f"sde_diffusion/{package}" for package in PACKAGES))

_PAIRS = [
    (ast.Add, ast.Sub),
    (ast.Mult, ast.Div),
    (ast.Lt, ast.LtE),
    (ast.Gt, ast.GtE),
    (ast.Eq, ast.NotEq),
    (ast.And, ast.Or),
    ("min", "max"),
    ("minimum", "maximum"),
]
OF_ALL = "tests/test_frozen.py"
"""The tests of every module of the core."""

SWAPS = {a: b for pair in _PAIRS for a, b in (pair, reversed(pair))}
DROPPED = {"sqrt", "square", "exp", "log", "abs", "clamp"}


@dataclass(frozen=True)
class RandomFault:
    """A change; where and what it is, `solvers/grids.py:34: a + b -> a - b`; the test files that must notice."""

    name: str
    story: str
    change: Change
    tests: str


def variants(node: ast.AST) -> list[ast.AST]:
    """What may stand in the place of a node: another operator or number, one term of a sum, the argument of a function."""
    return [*_other_operators(node), *_other_values(node), *_other_functions(node)]


def _other_operators(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.BinOp(left, ast.Add() | ast.Sub() as op, right):
            return [ast.BinOp(left, SWAPS[type(op)](), right), left]
        case ast.BinOp(left, op, right) if type(op) in SWAPS:
            return [ast.BinOp(left, SWAPS[type(op)](), right)]
        case ast.BoolOp(op, values):
            return [ast.BoolOp(SWAPS[type(op)](), values)]
        case ast.Compare(left, [op], right) if type(op) in SWAPS:
            return [ast.Compare(left, [SWAPS[type(op)]()], right)]
        case ast.UnaryOp(ast.USub(), operand):
            return [operand]
    return []


def _other_values(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.Constant(value=bool(value)):
            return [ast.Constant(not value)]
        case ast.Constant(value=int(value) | float(value)):
            return [ast.Constant(1.0 if value == 0.5 else value + 1)]
    return []


def _other_functions(node: ast.AST) -> list[ast.AST]:
    match node:
        case ast.Call(ast.Name(name), [argument], []) if name in DROPPED:
            return [argument]
        case ast.Call(ast.Attribute(_, name), [argument], []) if name in DROPPED:
            return [argument]
        case ast.Call(ast.Attribute(value, name), [], []) if name in DROPPED:
            return [value]
        case ast.Name(name, ctx) if name in SWAPS:
            return [ast.Name(SWAPS[name], ctx)]
        case ast.Attribute(value, name, ctx) if name in SWAPS:
            return [ast.Attribute(value, SWAPS[name], ctx)]
    return []


Site = tuple[int, int]
"""The place of a node in the order of ast.walk, and the number of the variant that takes its place."""


class _Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self.old, self.new = old, new

    def visit(self, node: ast.AST) -> ast.AST:
        return self.new if node is self.old else self.generic_visit(node)


def sites(text: str) -> list[Site]:
    """All changes that can be made to a module."""
    nodes = enumerate(ast.walk(ast.parse(text)))
    return [(place, number) for place, node in nodes for number in range(len(variants(node)))]


def drawn(texts: dict[str, str], tests: dict[str, str], count: int, seed: int) -> list[RandomFault]:
    """Different faults of the core, each site as likely as any other.

    Whether a site is drawn depends on the seed and on the change itself: an edit of the sources leaves the others as they were.
    """
    core = [file for file in texts if file.startswith(CORE) and not file.startswith("solvers/testing/")]
    everywhere = [(file, site, words) for file in core for site, words in _numbered(texts[file])]
    chosen = sorted(everywhere, key=lambda one: sha256(f"{seed} {one[0]} {one[2]}".encode()).digest())[:count]
    found = [(file, *changed(texts[file], site)) for file, site, _ in chosen]
    return [
        RandomFault(
            f"random-{i}",
            f"{file}:{story}",
            Change(file, text),
            " ".join((*relevant_tests(file, texts, tests), OF_ALL)),
        )
        for i, (file, story, text) in enumerate(found)
    ]


@cache
def _numbered(text: str) -> tuple[tuple[Site, str], ...]:
    """Each site of a module with its change in words; the number counts those with the same words before it."""
    seen, found = Counter[str](), []
    for place, node in enumerate(ast.walk(ast.parse(text))):
        for number, new in enumerate(variants(node)):
            words = _words(node, new)
            seen[words] += 1
            found.append(((place, number), f"{words} {seen[words]}"))
    return tuple(found)


def _words(node: ast.AST, new: ast.AST) -> str:
    return f"{ast.unparse(node)} -> {ast.unparse(new)}"


def changed(text: str, site: Site) -> tuple[str, str]:
    """What the change at one site of a module is, with its line, and the module's new text."""
    tree, (place, number) = ast.parse(text), site
    node = list(ast.walk(tree))[place]
    new = variants(node)[number]
    story = f"{getattr(node, 'lineno', 0)}: {_words(node, new)}"
    return story, ast.unparse(ast.fix_missing_locations(_Replace(node, new).visit(tree)))


def outcomes(
    count: int, seed: int, jobs: int, seconds: float, passed_over: Collection[str] = ()
) -> Iterator[tuple[RandomFault, Outcome]]:
    """Each fault with what became of it, as soon as it is known; those with a story of `passed_over` are left out."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch, ThreadPoolExecutor(jobs) as pool:
        folder = Path(scratch).resolve()
        original = copy_project(ROOT, folder / "original")
        texts, tests = project_texts(original), project_texts(original, ("tests",))
        faults = {fault.name: fault for fault in drawn(texts, tests, count, seed) if fault.story not in passed_over}
        trials = [
            partial(try_change, name, fault.change, (fault.tests, ""), original, folder, seconds)
            for name, fault in faults.items()
        ]
        try:
            yield from ((faults[outcome.name], outcome) for outcome in as_they_come(pool, trials))
        finally:
            pool.shutdown(cancel_futures=True)  # whoever asks for no more waits for what is under way alone
