"""How many random changes of the core do the everyday tests notice? Each survivor, and why it makes no difference.

python -m benchmarks.random_faults --seed 20261130 [--count 100] [--jobs 1] [--timeout 900] [--minutes 60]

A change that is in the results already is not tried again, unless it survived or had too little time: a run that was ended
goes on, and a test that was added counts. At the end every test that noticed a change is run without one; what fails there
has noticed nothing.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.output import load_summary, origin, save_summary, write_table
from tests.mutations.fault import project_texts
from tests.mutations.no_difference import REASONS
from tests.mutations.random_faults import RandomFault, drawn, outcomes
from tests.mutations.trial import (
    CAUGHT,
    ROOT,
    SURVIVED,
    TIMEOUT,
    Outcome,
    copy_project,
    failures,
    prepare_server,
    run_tests,
)

NAME = "random_faults"
TITLE = "Random changes of the core: {noticed} of {made} noticed by the everyday tests, {same} make no difference, {missed} are not noticed"
COLUMNS = ["change", "seed", "verdict", "the test that notices it, or why it makes no difference"]


def row(seed: int, fault: RandomFault, outcome: Outcome) -> list[str]:
    """The cells of a change; the test with its path, as pytest takes it, without parameters."""
    file, _, name = outcome.by.partition("::")
    paths = [path for path in fault.tests.split() if path.endswith(f"/{file}")]
    return [fault.story, str(seed), outcome.verdict, f"{paths[0]}::{name.partition('[')[0]}" if paths else outcome.by]


def without_line(story: str) -> str:
    """`solvers/grids.py: a + b -> a - b`: what a change is, wherever the lines above it have moved it to."""
    return re.sub(r":\d+: ", ": ", story)


def void(rows: list[list[str]]) -> list[str]:
    """The tests of the rows that fail without any change."""
    named = sorted({by for *_, by in rows if "::" in by})
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch:
        _, said = run_tests(copy_project(ROOT, Path(scratch).resolve() / "original"), " ".join(named), "", 3600.0, "-v")
    failed = {test.partition("[")[0] for test in failures(said)}
    return [by for by in named if by.rpartition("/")[2] in failed]


def explained(rows: list[list[str]]) -> list[list[str]]:
    """The rows, with the reason where a change makes no difference."""
    return [[*cells[:3], REASONS.get(without_line(cells[0]), cells[3])] for cells in rows]


def unexplained(rows: list[list[str]]) -> list[list[str]]:
    """The survivors for which there is no reason."""
    return [cells for cells in rows if cells[2] == SURVIVED and without_line(cells[0]) not in REASONS]


def save(rows: list[list[str]], unsound: list[str]) -> dict[str, Any]:
    """Every change, in the summary; returns the command and the machine."""
    about = origin(f"{NAME} --seed {' '.join(sorted({cells[1] for cells in rows}))}")
    save_summary(NAME, {**about, "fail without a change": unsound, "columns": COLUMNS, "rows": rows})
    return about


def table(rows: list[list[str]], about: dict[str, Any]) -> None:
    """What the tests did not notice, or only by their time."""
    lacking = sum(cells[2] == SURVIVED for cells in rows)
    missed = len(unexplained(rows))
    title = TITLE.format(noticed=len(rows) - lacking, made=len(rows), same=lacking - missed, missed=missed)
    shown = [[cell.replace("|", "\\|") for cell in cells] for cells in rows if cells[2] != CAUGHT]
    write_table(NAME, title, COLUMNS, shown, about)


def main() -> int:
    """Go on from the results; exit code 1 if a survivor is open or a test fails without a change."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no trial later (default: no end)")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for a trial (default: 900)")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"], os.environ["CI_SLOW"] = "1", "0"  # the everyday tests must notice
    prepare_server()
    stories = {
        fault.story for fault in drawn(project_texts(ROOT), project_texts(ROOT, ("tests",)), asked.count, asked.seed)
    }
    before = load_summary(NAME).get("rows", [])
    known = [
        cells for cells in before if cells[1] != str(asked.seed) or cells[0] in stories
    ]  # of the sources as they are
    rows = {cells[0]: cells for cells in known if cells[2] not in (SURVIVED, TIMEOUT)}
    end = time.monotonic() + 60 * asked.minutes
    for fault, outcome in outcomes(asked.count, asked.seed, asked.jobs, asked.timeout, set(rows)):
        rows[fault.story] = row(asked.seed, fault, outcome)
        print(f"{outcome.verdict:<9}{outcome.seconds:6.1f} s  {fault.story}  {outcome.by}", flush=True)
        save(explained(list(rows.values())), [])
        if time.monotonic() > end:
            break
    found = explained(list(rows.values()))
    unsound = void(found)
    table(found, save(found, unsound))
    return int(bool(unsound or unexplained(found)))


if __name__ == "__main__":
    raise SystemExit(main())
