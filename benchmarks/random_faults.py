"""How many random changes of the core do the everyday tests notice? Each survivor, and why it makes no difference.

python -m benchmarks.random_faults --seed 20261130 [--count 100] [--jobs 1] [--timeout 900] [--minutes 60]

A change that is in the results already is not tried again, unless it survived or had too little time: a run that was ended
goes on, and a test that was added counts. The suite must pass without a change.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import time
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
    prepare_server,
)

NAME = "random_faults"
TITLE = (
    "Random changes of the core: {noticed} of {made} noticed by the everyday tests, {same} make no difference, "
    "{late} had too little time, {missed} are not noticed"
)
COLUMNS = ["change", "seed", "verdict", "the test that notices it, or why it makes no difference"]


def row(seed: int, fault: RandomFault, outcome: Outcome) -> list[str]:
    """The cells of a change; the test with its path, as pytest takes it, without parameters."""
    file, _, name = outcome.by.partition("::")
    paths = [path for path in fault.tests.split() if path.endswith(f"/{file}")]
    return [fault.story, str(seed), outcome.verdict, f"{paths[0]}::{name.partition('[')[0]}" if paths else outcome.by]


def without_line(story: str) -> str:
    """`solvers/grids.py: a + b -> a - b`: what a change is, wherever the lines above it have moved it to."""
    return re.sub(r":\d+: ", ": ", story)


def known(count: int, seed: int) -> dict[str, list[str]]:
    """The rows of the results by their change, without those of the seed that the present sources do not have.

    A change that is known to make no difference was tried when its reason was written.
    """
    faults = drawn(project_texts(ROOT), project_texts(ROOT, ("tests",)), count, seed)
    stories = {without_line(fault.story): fault.story for fault in faults}
    reasoned = [[story, str(seed), SURVIVED, ""] for without, story in stories.items() if without in REASONS]
    before = [
        [stories.get(without_line(cells[0]), cells[0]), *cells[1:]] for cells in load_summary(NAME).get("rows", [])
    ]
    kept = [cells for cells in before if cells[1] != str(seed) or cells[0] in stories.values()]
    return {cells[0]: cells for cells in (*kept, *reasoned)}


def explained(rows: list[list[str]]) -> list[list[str]]:
    """The rows, with the reason where a change makes no difference."""
    return [[*cells[:3], REASONS.get(without_line(cells[0]), cells[3])] for cells in rows]


def unexplained(rows: list[list[str]]) -> list[list[str]]:
    """The survivors for which there is no reason."""
    return [cells for cells in rows if cells[2] == SURVIVED and without_line(cells[0]) not in REASONS]


def share_noticed(rows: list[list[str]]) -> float:
    """Of the changes that make a difference; those that had too little time count as not noticed."""
    without = sum(cells[2] == SURVIVED and without_line(cells[0]) in REASONS for cells in rows)
    return sum(cells[2] not in (SURVIVED, TIMEOUT) for cells in rows) / max(len(rows) - without, 1)


def save(rows: list[list[str]]) -> dict[str, Any]:
    """Every change, in the summary; returns the command and the machine."""
    about = origin(f"{NAME} --seed {' '.join(sorted({cells[1] for cells in rows}))}")
    save_summary(NAME, {**about, "columns": COLUMNS, "rows": rows})
    return about


def table(rows: list[list[str]], about: dict[str, Any]) -> None:
    """What the tests did not notice, or only by their time."""
    survived, late = (sum(cells[2] == verdict for cells in rows) for verdict in (SURVIVED, TIMEOUT))
    missed, noticed = len(unexplained(rows)), len(rows) - survived - late
    title = TITLE.format(noticed=noticed, made=len(rows), same=survived - missed, late=late, missed=missed)
    shown = [[cell.replace("|", "\\|") for cell in cells] for cells in rows if cells[2] != CAUGHT]
    write_table(NAME, title, COLUMNS, shown, about)


def main() -> int:
    """Go on from the results; exit code 1 if a smaller share is noticed of the changes that make a difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no trial later; 0: only the table")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for a trial (default: 900)")
    parser.add_argument("--at-least", type=float, default=1.0, metavar="P", help="the share to notice (default: 1)")
    asked = parser.parse_args()
    os.environ.update(OMP_NUM_THREADS="1", CI_SLOW="0", CI_WHOLE="1")  # all cases of the everyday tests must notice
    prepare_server()
    rows = known(asked.count, asked.seed)
    settled = {cells[0] for cells in rows.values() if cells[2] not in (SURVIVED, TIMEOUT)}
    settled |= {story for story in rows if without_line(story) in REASONS}
    end = time.monotonic() + 60 * asked.minutes
    for fault, outcome in (
        outcomes(asked.count, asked.seed, asked.jobs, asked.timeout, settled) if asked.minutes else ()
    ):
        rows[fault.story] = row(asked.seed, fault, outcome)
        print(f"{outcome.verdict:<9}{outcome.seconds:6.1f} s  {fault.story}  {outcome.by}", flush=True)
        save(explained(list(rows.values())))
        if time.monotonic() > end:
            break
    found = explained(list(rows.values()))
    table(found, save(found))
    return int(share_noticed(found) < asked.at_least)


if __name__ == "__main__":
    raise SystemExit(main())
