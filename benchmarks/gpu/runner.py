"""Runs the stages one after another within a budget of seconds, each as a group of processes of its own.

A stage gets its share of the time that is left, so that what one leaves over goes to the later ones. At the end of its time the
whole group is killed, whatever it does: nothing that a process can do, hanging in the driver included, delays the next stage by
more than `GRACE`. What it found is in its record, which it replaces at every entry. A process that dies is followed by another
one for the parts that were not begun.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu.record import BEGUN, Record, read
from benchmarks.gpu.stage import AGAIN, Stage
from sde_diffusion.io.atomic import replace_file, to_json

GRACE = 1.5
"""Seconds after its time at which a stage is killed: it should have ended by itself."""
RESERVE = 2.0
"""Seconds of the budget for writing."""
OVER = "it was still there after its time"
LEAST = 3.0
"""Seconds without which no process is started."""


@dataclass(frozen=True)
class Runner:
    """A run of stages.

    Attributes:
        budget: seconds in all.
        folder: of the records; NAME.state.json beside NAME.json says what became of a stage.
        arguments: what every stage is given besides its folder and the end of its time.
        written: called after each stage, and when the run is stopped, to write what is made of the records.
    """

    stages: Sequence[Stage]
    budget: float
    folder: Path
    arguments: Sequence[str]
    written: Callable[[], None]

    def run(self) -> None:
        """All stages. What stops the run, such as KeyboardInterrupt, is handed on once `written` has been called."""
        end = time.time() + self.budget - RESERVE
        for stage in self.stages:
            for path in (self.record(stage), self.state(stage)):
                path.unlink(missing_ok=True)
        for number, stage in enumerate(self.stages):
            share = stage.seconds / sum(later.seconds for later in self.stages[number:])
            until = time.time() + share * (end - time.time() - GRACE)
            began = time.time()
            try:
                said = self.stage(stage, until)
            except BaseException as stop:
                self.note(stage, began, f"the run was stopped here by {type(stop).__name__}")
                self.write()
                raise
            self.note(stage, began, said)
            self.write()

    def write(self) -> None:
        """Call `written`; what goes wrong in it is said on the standard error, and the records stay."""
        try:
            self.written()
        except (OSError, ValueError) as error:
            print(f"the page was not written: {error}; its records are in {self.folder}", file=sys.stderr)

    def stage(self, stage: Stage, until: float) -> str:
        """Run a stage to its end or that of its time; a sentence where something went wrong, else nothing."""
        if until - time.time() < LEAST:
            return "not run: no time was left"
        said, begun = "", -1
        while until - time.time() >= LEAST and len(self.parts(stage)) > begun:
            begun = len(self.parts(stage))
            code, error = self.process(stage, until)
            if code == 0:
                return said
            said = self.explain(stage, code, error)
        return said

    def process(self, stage: Stage, until: float) -> tuple[int, str]:
        """The exit code of one process of a stage, and the last line of its standard error."""
        given = ["--folder", str(self.folder), "--until", str(until), *self.arguments]
        with open(self.folder / f"{stage.name}.log", "ab+") as log, started(stage.command(*given), log) as process:
            try:
                code = process.wait(max(until + GRACE - time.time(), 0))
            except subprocess.TimeoutExpired:
                return -signal.SIGKILL, OVER
            log.seek(max(log.seek(0, os.SEEK_END) - 2000, 0))
            lines = log.read().decode(errors="replace").split("\n")
        return code, next((line.strip() for line in reversed(lines) if line.strip()), "")

    def explain(self, stage: Stage, code: int, error: str) -> str:
        """Write into the record what became of the part under way when a process ended with this code; a sentence on it."""
        words, record = ended(code, error), Record(self.record(stage))
        under_way = [name for name, state in record.found["parts"].items() if state == BEGUN]
        for name in under_way:
            record.part(name, words)
        return "" if under_way or code == AGAIN else words

    def parts(self, stage: Stage) -> dict[str, str]:
        """What has become of the stage's parts."""
        return read(self.record(stage)).get("parts", {})

    def record(self, stage: Stage) -> Path:
        """The file of what a stage finds."""
        return self.folder / f"{stage.name}.json"

    def state(self, stage: Stage) -> Path:
        """The file of what became of a stage."""
        return self.folder / f"{stage.name}.state.json"

    def note(self, stage: Stage, began: float, said: str) -> None:
        """Write what became of a stage, then say it."""
        about: dict[str, Any] = {"seconds": round(time.time() - began, 1), "said": said}
        about["date"] = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began))
        replace_file(self.state(stage), to_json(about))
        print(f"{stage.name}: {about['seconds']:.0f} s{': ' * bool(said)}{said}", flush=True)


def ended(code: int, error: str) -> str:
    """How a process ended, by its exit code and the last line of its standard error."""
    if code == -signal.SIGALRM:
        return "stopped at its time limit"
    words = f"its process was ended by {signal.Signals(-code).name}" if code < 0 else f"its process ended with {code}"
    return f"{words}: {error}" if error else words


@contextmanager
def started(command: list[str], log: Any) -> Iterator[subprocess.Popen]:
    """A process in a group of its own, of which nothing is left after the block. Its standard input stays open meanwhile."""
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True, bufsize=0
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin:
            process.stdin.close()
