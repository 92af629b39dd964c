"""What the children do, until they are killed, stopped or starved."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import io
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from sde_diffusion.cli.main import main
from sde_diffusion.io.lock import locked
from sde_diffusion.training import CheckpointError, load
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.checkpoints import manifest
from tests.training.conftest import Run

LONG = {"steps": 400, "checkpoint_every": 1, "log_every": 1, "max_checkpoints": 2}
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


def train_until_the_nth_change(voice, folder: Path, nth: int, changes: dict = LONG) -> None:
    """Two more steps of a run; before the nth change of a file or folder the process kills itself.

    One that lives on acknowledges at its end how many changes there were.
    """
    run, seen = Run(folder, **changes), 0

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


def train_with_room_for(voice, folder: Path, room: int, changes: dict) -> int:
    """Train where no file may grow beyond `room` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    return said_by(lambda: train(voice, folder, changes))


def command_with_room_for(voice, arguments: list[str], room: int) -> int:
    """The command line where no file may grow beyond `room` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
    return main(arguments)


def command_on_a_full_disk(voice, arguments: list[str], room: int) -> int:
    """The same, where what it says finds room: it is written when the limit is gone."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, most))
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        code = main(arguments)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    print(said.getvalue(), end="", flush=True)
    return code


def train_without_rights(voice, folder: Path, changes: dict) -> int:
    """Train without the rights of the superuser, who may write anywhere."""
    give_up_rights()
    return said_by(lambda: train(voice, folder, changes))


def command_without_rights(voice, arguments: list[str]) -> int:
    """The command line without the rights of the superuser."""
    give_up_rights()
    return main(arguments)


def give_up_rights() -> None:
    """Give up the superuser's rights, where there are any: the owner of a file is then bound by its mode (capset(2))."""
    if os.geteuid() != 0:
        return
    version_3, this_process = 0x20080522, 0
    header, none = (ctypes.c_uint32 * 2)(version_3, this_process), (ctypes.c_uint32 * 6)()
    if ctypes.CDLL(None, use_errno=True).capset(header, none):
        raise OSError(ctypes.get_errno(), "capset")


def said_by(body: Callable[[], None]) -> int:
    """Print the type and the words of an OSError that ends `body`; 0, 2 where there was one."""
    try:
        body()
    except OSError as error:
        print(type(error).__name__, error)
        return 2
    return 0


def command_at_once(voice, arguments: list[str], start: float) -> int:
    """The command line, begun at a moment that others share."""
    time.sleep(max(0.0, start - time.time()))
    return main(arguments)


def hold_the_lock(voice, folder: Path) -> None:
    """Hold a folder's lock for longer than any test lasts."""
    with locked(folder):
        voice.acknowledge(1)
        time.sleep(600)


def load_within(voice, folder: Path, good: Path, megabytes: int) -> int:
    """Read a checkpoint with so much memory beyond that of a good one, which is read first."""
    load(good)
    return _within(voice, megabytes, lambda: load(folder))


def resume_within(voice, folder: Path, megabytes: int) -> int:
    """Go on with a run in so much memory beyond what the process has."""
    run = Run(folder)
    return _within(voice, megabytes, lambda: run.go(reports=1))


def _within(voice, megabytes: int, body: Callable[[], object]) -> int:
    """Acknowledge the growth of the peak in KiB; 2 and its words after a CheckpointError."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + megabytes * 2**20,) * 2)
    try:
        body()
    except CheckpointError as error:
        print(error)
        return 2
    finally:
        voice.acknowledge(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return 0


def command_with_streams_closed(voice, arguments: list[str], closed: list[int]) -> int:
    """The program, some of whose standard streams were closed before it began, as Python then has them."""
    for number in closed:
        os.close(number)
        setattr(sys, ("stdin", "stdout", "stderr")[number], None)
    return program(arguments)


def command_with_full_output(voice, arguments: list[str]) -> int:
    """The program with its standard output on a device that is always full."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    return program(arguments)


def command_into_a_closed_pipe(voice, arguments: list[str]) -> int:
    """The program with its standard output and error in a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    os.close(reading)
    return program(arguments)


def program(arguments: list[str]) -> int:
    """`sde-diffusion` with these arguments."""
    sys.argv[1:] = arguments
    return main()
