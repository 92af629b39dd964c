"""Children that a test may kill: forked from one server process that has imported torch already, in milliseconds.

The server is started once (`multiprocessing`'s fork server); it has one thread and has touched no accelerator, so that
a fork of it is whole. What a child says goes into files that outlive it: `words` and `acknowledged`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SERVER = multiprocessing.get_context("forkserver")
PATIENCE = 60.0
"""Seconds after which a child that says nothing is a fault of its own."""


class Child:
    """A process that runs `body(child, *arguments)`; `folder` holds what it says."""

    def __init__(self, folder: Path, body: Callable, *arguments: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._process = SERVER.Process(target=_run, args=(folder, body, arguments))
        self._process.start()

    @property
    def number(self) -> int:
        """Its process id."""
        return self._process.pid

    def kill(self) -> int:
        """SIGKILL, and its exit code."""
        self._process.kill()
        return self.ended()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.number, number)

    def ended(self) -> int:
        """Wait for its end: the exit code, or minus the number of the signal that ended it."""
        self._process.join(PATIENCE)
        if self._process.exitcode is None:
            self._process.kill()
            raise AssertionError(f"the child did not end within {PATIENCE:g} s: {self.words()}")
        return self._process.exitcode

    def words(self) -> str:
        """What it wrote on the standard output and error."""
        path = self.folder / "words"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def acknowledged(self) -> list[int]:
        """The numbers that it acknowledged, each of which had reached the system before it went on."""
        path = self.folder / "acknowledged"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    def wait_for(self, number: int) -> None:
        """Wait until it has acknowledged a number."""
        end = time.monotonic() + PATIENCE
        while number not in self.acknowledged():
            if time.monotonic() > end or self._process.exitcode is not None:
                raise AssertionError(f"the child never came to {number}: {self.words()}")
            time.sleep(0.001)


class Voice:
    """What a body gets: the way to acknowledge."""

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def acknowledge(self, number: int) -> None:
        """One write to the system, which a later kill does not undo."""
        os.write(self._file, b"%d\n" % number)


def as_in_a_terminal() -> None:
    """SIGINT and SIGHUP end a process again: a suite in the background, or under nohup, ignores them and so do its children."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def _run(folder: Path, body: Callable, arguments: tuple) -> None:
    words = os.open(folder / "words", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(words, number)
    as_in_a_terminal()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import torch

    torch.set_num_threads(1)
    sys.exit(body(Voice(folder), *arguments))


@contextmanager
def started(folder: Path, body: Callable, *arguments: object) -> Iterator[Child]:
    """A child for the length of the block; it does not outlive it."""
    child = Child(folder, body, *arguments)
    try:
        yield child
    finally:
        child._process.kill()
        child._process.join(PATIENCE)
