"""What the children do, until they are killed, stopped or starved."""

from __future__ import annotations

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from sde_diffusion.cli.main import main
from sde_diffusion.training import manifest
from sde_diffusion.training.batches import Batches
from tests.training.conftest import Run

LONG = {"steps": 400, "checkpoint_every": 1, "log_every": 1, "keep": 2}
"""A run that is killed long before its end, its every step saved and announced."""


def digest(tensors: dict) -> str:
    """SHA-256 of named tensors."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        whole.update(name.encode() + tensors[name].detach().contiguous().numpy().tobytes())
    return whole.hexdigest()


def train(voice, folder: Path, changes: dict) -> None:
    """Train, and acknowledge each report, which comes after the checkpoint of its step."""
    for report in Run(folder, **changes).reports():
        voice.acknowledge(report.step)


def train_until_the_nth_change(voice, folder: Path, nth: int) -> None:
    """Two more steps of a run; before the nth change of a file or folder the process kills itself.

    One that lives on acknowledges at its end how many changes there were.
    """
    run, seen = Run(folder, **LONG), 0

    def watch(event: str, arguments: tuple) -> None:
        nonlocal seen
        if event in _CHANGES or (event == "open" and _writes(folder, *arguments)):
            seen += 1
            if seen == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    for report in closing_after(2, run.reports()):
        voice.acknowledge(report.step)
    voice.acknowledge(seen)


def closing_after(count: int, reports: Iterator) -> Iterator:
    """The first few reports; then the run is left in good order."""
    with closing(reports):
        yield from islice(reports, count)


_CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.link", "os.truncate"}


def _writes(folder: Path, path: object, mode: object, flags: int) -> bool:
    changing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
    return isinstance(path, (str, os.PathLike)) and str(path).startswith(str(folder)) and bool(flags & changing)


def killed_in_step(voice, folder: Path, k: int, changes: dict) -> None:
    """Train; in the middle of the step after the kth the process kills itself."""
    from sde_diffusion.objectives import DenoisingScoreMatching

    calls = []

    def objective(*arguments, **condition):
        losses = DenoisingScoreMatching()(*arguments, **condition)
        if len(calls) == k:
            os.kill(os.getpid(), signal.SIGKILL)
        calls.append(k)
        return losses

    for report in Run(folder, objective, **changes).reports():
        voice.acknowledge(report.step)


def command(voice, arguments: list[str]) -> int:
    """The command line, as its entry point runs it."""
    return main(arguments)


def command_that_signals_itself(voice, arguments: list[str], when: str, signals: list[int], group: bool) -> int:
    """The command line in a process group of its own; it sends the signals to itself in its 6th step or its 2nd save."""
    if group:
        os.setsid()
    send, receiver, calls = os.killpg if group else os.kill, os.getpid(), []
    target, name, at = {"step": (Batches, "at", 6), "save": (manifest, "write", 2)}[when]
    usual = getattr(target, name)

    def struck(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            for number in signals:
                send(receiver, number)
        return usual(*args, **kwargs)

    setattr(target, name, struck)
    return main(arguments)
