"""Inject every fault of `rows`, count, and write docs/faults.md.

    python -m tests.faults.table              all rows, about fifteen minutes on two free cores
    python -m tests.faults.table pipe ascii   those that name one of the words; the others keep their last figures

Exit code 0: every attempt passed and there were as many as fixed beforehand; 1: not so; 2: interrupted, nothing is written.
"""

from __future__ import annotations

import argparse
import ast
import platform
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.row import Row
from tests.faults.rows import ROWS

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/faults.md"

WORDS = """# Faults

Written by `python -m tests.faults.table`, which injects each of them; what the exit codes mean stands in
[training-faults.md](training-faults.md). The number of attempts is fixed beforehand, in `tests/faults/rows.py`, as are their
moments, by a seed. Everyday tests make fewer of the long rows' attempts.

{table}

{passed} of {attempts} attempts passed ({machine}).

Processes that read the data (`workers`) are the run's own children: they leave signals to it, and end with it. Pages are
parsed, not rendered: there was no browser where this was written. A kill of a process is not a power cut; for that the order
of the calls to the system is watched. Several processes are two, over gloo on one machine.
"""


class Counter:
    """A plugin that adds up passed attempts and attempts of each test."""

    def __init__(self) -> None:
        self.counts: dict[str, list[int]] = {}
        self.outcomes: dict[str, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report) -> None:
        """Called by pytest for the setup, the call and the teardown of each test."""
        self.outcomes[report.nodeid].append(report.outcome)
        if report.when == "call":
            own = dict(report.user_properties)
            self.counts[report.nodeid] = [own.get("passed", int(report.passed)), own.get("attempts", 1)]

    def total(self, row: Row) -> tuple[int, int]:
        """(passed, attempts) of a row; a test that counts all as passed and fails nevertheless loses one."""
        passed = attempts = 0
        for name, (good, made) in self.counts.items():
            if name.startswith(row.tests) and not name.endswith("some]"):
                failed = set(self.outcomes[name]) != {"passed"}
                passed, attempts = passed + min(good, made - failed), attempts + made
        return passed, attempts


def page(rows: Iterable[tuple[Row, int, int]]) -> str:
    """The text of docs/faults.md."""
    import torch  # pytest wants to import the project itself, so that nothing of it is imported before

    from sde_diffusion.report.table import Table

    rows = list(rows)
    cells = [(row.injected, row.expected, f"{passed}/{made}") for row, passed, made in rows]
    passed, made = (sum(numbers) for numbers in zip(*((p, m) for _, p, m in rows), strict=True))
    machine = f"{platform.system()}, Python {platform.python_version()}, torch {torch.__version__.split('+')[0]}"
    table = Table(("injected", "expected", "passed/attempts"), cells).markdown()
    return WORDS.format(table=table, passed=passed, attempts=made, machine=machine)


def functions(row: Row) -> list[str]:
    """The tests of a row as pytest takes them, without their parameters."""
    found = []
    for test in row.tests:
        file, _, beginning = test.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        tests = [
            name for name in names if name.startswith((beginning or "test_").split("[")[0]) and name[:5] == "test_"
        ]
        found += [f"{ROOT / file}::{name}" for name in tests]
    return found


def figures(text: str) -> dict[str, tuple[int, int]]:
    """Passed and attempts of each row of a page, by what is injected as the page writes it."""
    found = re.findall(r"^\| (.*?) \| .* \| (\d+)/(\d+) \|$", text, re.M)
    return {injected: (int(passed), int(made)) for injected, passed, made in found}


def main(arguments: list[str] | None = None) -> int:
    """Run, count, write, complain."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("words", nargs="*", help="rows that name one of them (default: all)")
    words = parser.parse_args(arguments).words
    counter, chosen = Counter(), [row for row in ROWS if not words or any(word in row.injected for word in words)]
    tests = sorted({test for row in chosen for test in functions(row)})
    if (
        pytest.main([*tests, "--slow", "--weekly", "--rootdir", str(ROOT)], plugins=[counter])
        == pytest.ExitCode.INTERRUPTED
    ):
        return 2
    from sde_diffusion.report.table import plain  # after pytest: see `page`

    before = figures(PAGE.read_text(encoding="utf-8"))
    counted = [
        (row, *(counter.total(row) if row in chosen else before.get(plain(row.injected), (0, 0)))) for row in ROWS
    ]
    PAGE.write_text(page(counted), encoding="utf-8")
    wrong = [(row, p, m) for row, p, m in counted if (p, m) != (row.attempts, row.attempts)]
    for row, passed, made in wrong:
        print(f"{passed}/{made}, {row.attempts} fixed beforehand: {row.injected}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
