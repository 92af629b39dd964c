"""Every known bug of `tests/known_bugs/` under the kit: the check that fails, and the cause that it names.

python -m benchmarks.known_bugs
"""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from types import ModuleType

import torch

from benchmarks.output import save_table

COLUMNS = ["bug", "what it is", "check that fails", "error", "allowed", "cause that is named", "correct twin"]
FOLDER = Path(__file__).parent.parent / "tests" / "known_bugs"


def bugs() -> list[ModuleType]:
    """One module each."""
    names = sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("test_"))
    return [importlib.import_module(f"tests.known_bugs.{name}") for name in names]


def row(bug: ModuleType) -> list[str]:
    """Of the table. Raises AssertionError for a bug that is not caught, or not named as it should be."""
    with torch.random.fork_rng(devices=[]):  # one of them draws from the global generator
        found = bug.report()[bug.CHECK]
    assert found.failed, f"{bug.__name__} is not caught"
    assert re.search(bug.CAUSE, found.cause), f"{bug.__name__} is named {found.cause!r}, expected {bug.CAUSE!r}"
    twin = "passes" if hasattr(bug, "sound") and bug.sound().ok else "-" if not hasattr(bug, "sound") else "fails"
    story = " ".join((bug.__doc__ or "").split("\n\n")[0].split())
    named = found.cause if bug.CAUSE else "-"
    cells = [
        bug.__name__.rpartition(".")[2],
        story,
        found.check,
        f"{found.error:.2g}",
        f"{found.allowed:.2g}",
        named,
        twin,
    ]
    return [cell.replace("|", "\\|") for cell in cells]


def main() -> None:
    """All of them."""
    rows = [row(bug) for bug in bugs()]
    save_table("known_bugs", f"{len(rows)} known bugs under the conformance kit", COLUMNS, rows)


if __name__ == "__main__":
    main()
