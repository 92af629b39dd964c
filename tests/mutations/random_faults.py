"""Draw random changes of single operators and constants in the core, and see how many the tests notice.

    python -m tests.mutations.random_faults --count 100 --seed 1          a nightly job
    python -m tests.mutations.random_faults --count 20 --seed 1 --jobs 2  two at a time

A change is tried on the test files that import its module, the most specific ones first; the suite must pass without
it. A survivor is a missing test, or a change that makes no difference to any result. Exit code 0: the trials were made.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.mutations.fault import Change, project_texts
from tests.mutations.importers import relevant_tests
from tests.mutations.run import as_they_come, line
from tests.mutations.trial import CAUGHT, ROOT, SURVIVED, Outcome, copy_project, prepare_server, try_change

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
SWAPS = {a: b for pair in _PAIRS for a, b in (pair, reversed(pair))}


@dataclass(frozen=True)
class RandomFault:
    """A change; where and what it is, `solvers/grids.py:34: a + b -> a - b`; the test files that must notice."""

    name: str
    story: str
    change: Change
    tests: str


def mutate(node: ast.AST) -> bool:
    """Change a node in place; whether there was something to change."""
    match node:
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            node.op = SWAPS[type(op)]()
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            node.ops = [SWAPS[type(op)]()]
        case ast.UnaryOp(op=ast.USub()):
            node.op = ast.UAdd()
        case ast.Constant(value=bool(value)):
            node.value = not value
        case ast.Constant(value=int(value) | float(value)):
            node.value = value + 1
        case ast.Name(id=name) if name in SWAPS:
            node.id = SWAPS[name]
        case ast.Attribute(attr=name) if name in SWAPS:
            node.attr = SWAPS[name]
        case _:
            return False
    return True


def sites(text: str) -> list[int]:
    """The places, in the order of ast.walk, of the nodes that can be changed."""
    return [place for place, node in enumerate(ast.walk(ast.parse(text))) if mutate(node)]


def drawn(texts: dict[str, str], tests: dict[str, str], count: int, seed: int) -> list[RandomFault]:
    """Different faults of the core, each site as likely as any other."""
    core = [file for file in texts if file.startswith(CORE) and not file.startswith("solvers/testing/")]
    everywhere = [(file, place) for file in core for place in sites(texts[file])]
    chosen = random.Random(seed).sample(everywhere, min(count, len(everywhere)))
    found = [(file, *changed(texts[file], place)) for file, place in chosen]
    return [
        RandomFault(f"random-{i}", f"{file}:{story}", Change(file, text), " ".join(relevant_tests(file, texts, tests)))
        for i, (file, story, text) in enumerate(found)
    ]


def changed(text: str, place: int) -> tuple[str, str]:
    """What the change at one place of a module is, with its line, and the module's new text."""
    tree = ast.parse(text)
    node = list(ast.walk(tree))[place]
    before = ast.unparse(node)
    mutate(node)
    return f"{getattr(node, 'lineno', 0)}: {before} -> {ast.unparse(node)}", ast.unparse(tree)


def outcomes(count: int, seed: int, jobs: int, seconds: float) -> Iterator[tuple[RandomFault, Outcome]]:
    """Each fault with what became of it, as soon as it is known."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch, ThreadPoolExecutor(jobs) as pool:
        folder = Path(scratch).resolve()
        original = copy_project(ROOT, folder / "original")
        texts, tests = project_texts(original), project_texts(original, ("tests",))
        faults = {fault.name: fault for fault in drawn(texts, tests, count, seed)}
        trials = [
            partial(try_change, name, fault.change, (fault.tests, ""), original, folder, seconds)
            for name, fault in faults.items()
        ]
        yield from ((faults[outcome.name], outcome) for outcome in as_they_come(pool, trials))


def main(arguments: list[str] | None = None) -> int:
    """The script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=100, metavar="N", help="how many faults (default: 100)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="which ones (default: 0)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many trials at a time (default: 1)")
    parser.add_argument("--timeout", type=float, default=300.0, metavar="S", help="seconds for a trial (default: 300)")
    asked = parser.parse_args(arguments)
    os.environ["OMP_NUM_THREADS"] = "1"
    prepare_server()
    found: list[tuple[RandomFault, Outcome]] = []
    for fault, outcome in outcomes(asked.count, asked.seed, asked.jobs, asked.timeout):
        found.append((fault, outcome))
        print(f"{line(outcome)}\n    {fault.story}", flush=True)
    survivors = [f"survived: {fault.story}, {fault.tests}" for fault, outcome in found if outcome.verdict == SURVIVED]
    caught = sum(outcome.verdict == CAUGHT for _, outcome in found)
    print("\n".join([f"{caught} of {len(found)} caught, {len(survivors)} survived", *survivors]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
