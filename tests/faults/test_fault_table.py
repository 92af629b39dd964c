"""docs/faults.md is the outcome of a run: its rows are those of `rows`, all their tests exist, nothing failed."""

from __future__ import annotations

import ast

import pytest

from sde_diffusion.report.table import plain
from tests.faults.conftest import ROOT
from tests.faults.rows import ROWS
from tests.faults.table import PAGE, Counter, figures, functions, page


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.injected[:30])
def test_every_test_of_a_row_exists(row):
    for name in row.tests:
        file, _, beginning = name.partition("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert any(function.startswith(beginning.split("[")[0] or "test_") for function in functions), name


def test_the_page_is_that_of_a_run_in_which_all_passed():
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    wanted = [[plain(row.injected), plain(row.expected), f"{row.attempts}/{row.attempts}"] for row in ROWS]
    assert [line.strip("| ").split(" | ") for line in lines[2:]] == wanted


class Report:
    """What pytest tells a plugin of a test's call."""

    when = "call"

    def __init__(self, nodeid, outcome, **own) -> None:
        self.nodeid, self.outcome, self.passed, self.user_properties = nodeid, outcome, outcome == "passed", own.items()


def test_attempts_are_counted():
    counter, row = Counter(), ROWS[0]
    (name,) = row.tests
    counter.pytest_runtest_logreport(Report(name, "failed", passed=97, attempts=100))
    counter.pytest_runtest_logreport(Report("tests/other.py::test_other", "passed"))
    assert counter.total(row) == (97, 100)
    counter.pytest_runtest_logreport(Report(name, "failed", passed=100, attempts=100))
    assert counter.total(row) == (99, 100)  # it failed after its attempts
    assert "| 99/100 |" in page([(row, *counter.total(row))])


def test_a_row_that_is_not_run_keeps_its_figures():
    """A page is read back as it was written."""
    text = page([(row, row.attempts - 1, row.attempts) for row in ROWS])
    assert figures(text) == {plain(row.injected): (row.attempts - 1, row.attempts) for row in ROWS}


def test_the_tests_of_a_row_are_asked_for_by_name():
    """A beginning that is a whole file, and one of a name with parameters."""
    rows = {row.tests: row for row in ROWS}
    assert len(functions(rows[("tests/faults/test_out_of_memory.py::",)])) > 3
    found = functions(rows[("tests/faults/test_killed.py::test_killed_at_any_moment[100]",)])
    assert [name.rpartition("/")[2] for name in found] == ["test_killed.py::test_killed_at_any_moment"]


def test_attempts_of_every_day_are_a_part_of_all():
    """Of a test with the attempts "some" the latter alone count."""
    counter, row = Counter(), next(row for row in ROWS if row.injected.startswith("damaged pictures"))
    (name,) = row.tests
    counter.pytest_runtest_logreport(Report(f"{name}_x[PNG-some]", "passed", passed=40, attempts=40))
    counter.pytest_runtest_logreport(Report(f"{name}_x[PNG-all]", "passed", passed=300, attempts=300))
    assert counter.total(row) == (300, 300)
