"""Inject every fault of `rows`, count, and write docs/faults.md:  python -m tests.faults.table

Exit code 0: every attempt passed and there were as many as fixed beforehand. About fifteen minutes.
"""

from __future__ import annotations

import platform
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.faults.rows import ROWS, Row

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/faults.md"

WORDS = """# Faults

Written by `python -m tests.faults.table`, which injects each of them; what the exit codes mean stands in
[training-faults.md](training-faults.md). The number of attempts is fixed beforehand, in `tests/faults/rows.py`, as are their
moments, by a seed. Everyday tests make fewer of the long rows' attempts.

{table}

{passed} of {attempts} attempts passed ({machine}).

Processes that read the data (`workers`) are the run's own children: they leave signals to it, and end with it. Pages are parsed, not rendered: there was no browser where this was written. A kill of a
process is not a power cut; for that the order of the calls to the system is watched. Several processes are two, over gloo on
one machine.
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


def main() -> int:
    """Run, count, write, complain."""
    counter = Counter()
    names = sorted({test.split("::")[0] for row in ROWS for test in row.tests})
    pytest.main([*(str(ROOT / name) for name in names), "--slow", "--rootdir", str(ROOT)], plugins=[counter])
    counted = [(row, *counter.total(row)) for row in ROWS]
    PAGE.write_text(page(counted), encoding="utf-8")
    wrong = [(row, p, m) for row, p, m in counted if (p, m) != (row.attempts, row.attempts)]
    for row, passed, made in wrong:
        print(f"{passed}/{made}, {row.attempts} fixed beforehand: {row.injected}", file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
