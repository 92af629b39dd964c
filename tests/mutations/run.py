"""Put every seeded fault into a copy of the project, one at a time, and see whether the tests notice.

    python -m tests.mutations.run                       all of them, one after the other
    python -m tests.mutations.run --only heun --jobs 2  those whose name contains a word, two at a time
    python -m tests.mutations.run --every 3             the first, the fourth, the seventh, ... of them
    python -m tests.mutations.run --json                the table as JSON on the standard output

The tests are first run without any fault, for a test that fails anyway catches nothing. Exit code 0: all tests passed
without a fault and every fault was caught; 1: one was not; 2: nothing was asked for. The working tree is only read.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from functools import partial
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from tests.mutations.fault import Fault, project_texts
from tests.mutations.faults import FAULTS
from tests.mutations.trial import CAUGHT, ROOT, Outcome, copy_project, prepare_server, try_fault, try_nothing

GOOD = {"passes", CAUGHT}


def outcomes(faults: list[Fault], root: Path = ROOT, jobs: int = 1, seconds: float = 120.0) -> Iterator[Outcome]:
    """The outcomes, as they come: first those of the tests without a fault, then one for each fault."""
    with tempfile.TemporaryDirectory(prefix="mutations-") as scratch, ThreadPoolExecutor(jobs) as pool:
        folder = Path(scratch).resolve()
        original = copy_project(root, folder / "original")
        by_file = groupby(sorted(faults, key=attrgetter("tests")), attrgetter("tests"))
        selections = [(tests, sorted({fault.only for fault in some})) for tests, some in by_file]
        calls = [partial(try_nothing, tests, only, original, 4 * seconds) for tests, only in selections]
        yield from as_they_come(pool, calls)
        texts = project_texts(original)
        yield from as_they_come(pool, [partial(try_fault, f, texts, original, folder, seconds) for f in faults])


def as_they_come(pool: ThreadPoolExecutor, calls: list[Callable[[], Outcome]]) -> Iterator[Outcome]:
    """The outcomes of several trials, each as soon as it is there."""
    for done in as_completed([pool.submit(call) for call in calls]):
        yield done.result()


def line(outcome: Outcome) -> str:
    """A row of the table."""
    return f"{outcome.verdict:<15}{outcome.seconds:6.1f} s  {outcome.name:<45} {outcome.by}"


def main(arguments: list[str] | None = None) -> int:
    """The script; returns its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", default="", metavar="NAME", help="faults whose name contains this")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="one fault of N (default: 1, all)")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many trials at a time (default: 1)")
    parser.add_argument("--timeout", type=float, default=120.0, metavar="S", help="seconds for a trial (default: 120)")
    parser.add_argument("--json", action="store_true", help="print JSON in the place of the table")
    asked = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if asked.only in fault.name][:: max(asked.every, 1)]
    if not faults:
        print(f"no fault has a name with {asked.only!r}", file=sys.stderr)
        return 2
    os.environ["OMP_NUM_THREADS"] = "1"  # a server with one thread can be forked; the tests use one anyway
    os.environ["CI_SLOW"] = "1"  # a fault may be a slow test's to catch
    prepare_server()
    found: list[Outcome] = []
    for outcome in outcomes(faults, jobs=asked.jobs, seconds=asked.timeout):
        found.append(outcome)
        print(line(outcome), file=sys.stderr if asked.json else sys.stdout, flush=True)
    wrong = [outcome for outcome in found if outcome.verdict not in GOOD]
    if asked.json:
        print(json.dumps([asdict(outcome) for outcome in found], indent=1))
    else:
        print(f"{len(faults)} faults, {sum(o.verdict == CAUGHT for o in found)} caught, {len(wrong)} complaints")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
