"""Every fault of the museum is caught by the check that should, and almost all with the right cause.

A file is a fault: a story, `report()` with the fault in it, the name of the CHECK that must fail and the CAUSE, a
pattern, that it must name ("" where none is claimed). Where the faultless twin is not under contract elsewhere, `sound()`
is its report.
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

NAMES = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("test_"))
EXHIBITS = [importlib.import_module(f"tests.known_bugs.{name}") for name in NAMES]


def name_of(exhibit) -> str:
    return exhibit.__name__.rpartition(".")[2]


MARKED = [pytest.param(e, id=name_of(e), marks=getattr(e, "MARKS", ())) for e in EXHIBITS]
TWINS = [param for param in MARKED if hasattr(param.values[0], "sound")]


@pytest.mark.thinned(2)
@pytest.mark.parametrize("exhibit", MARKED)
def test_a_fault_is_caught_and_named(exhibit):
    report = exhibit.report()
    found = report[exhibit.CHECK]
    assert found.failed, str(report)
    assert found.example
    assert re.search(exhibit.CAUSE, found.cause), str(report)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("exhibit", TWINS)
def test_its_sound_twin_passes(exhibit):
    assert exhibit.sound().ok, str(exhibit.sound())


def test_the_museum_holds_what_was_promised():
    """And the documents say how much it is; their table has a row for each."""
    root = Path(__file__).parents[2]
    for page in ("README.md", "docs/conformance.md"):
        assert f"{len(EXHIBITS)} kinds of bug" in (root / page).read_text(encoding="utf-8"), page
    table = (root / "benchmarks/results/known_bugs.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| (\w+) \| (?!what)", table, re.MULTILINE) == NAMES
    assert sum(bool(exhibit.CAUSE) for exhibit in EXHIBITS) >= 40
    assert all(exhibit.__doc__ for exhibit in EXHIBITS)
