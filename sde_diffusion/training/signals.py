"""SIGINT, SIGTERM and SIGHUP: the loop defers them to the end of a step, and the command line obeys the first one alone."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from sde_diffusion.training.checkpoints.manifest import places
from sde_diffusion.training.run_folder import RunFolder

_HANG_UP = getattr(signal, "SIGHUP", None)
"""A closed terminal; Windows has none."""
_ALL = tuple(number for number in (signal.SIGINT, signal.SIGTERM, _HANG_UP) if number is not None)


@contextmanager
def deferred_signals() -> Iterator[list[tuple[int, FrameType | None]]]:
    """Collects SIGINT, SIGTERM and SIGHUP in the list that it yields, and hands them to their handlers at the end of the block.

    Only signals with a Python handler are deferred (Ctrl-C has one unless it was taken away). A body that sees the list
    filled should come to its end. Outside the main thread, where no signal arrives, nothing is done.
    """
    arrived: list[tuple[int, FrameType | None]] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    before = {number: handler for number in _ALL if callable(handler := signal.getsignal(number))}
    try:
        for number in before:
            signal.signal(number, lambda *arrival: arrived.append(arrival))
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for number, frame in arrived:
        before[signal.Signals(number)](number, frame)


class Terminated(BaseException):
    """SIGTERM has arrived; what is under way cleans up and ends."""


class HungUp(Terminated):
    """SIGHUP has arrived: the terminal was closed."""


@contextmanager
def obey_first_signal(to_the_end: bool = False) -> Iterator[None]:
    """For the length of the block the first SIGINT, SIGTERM or SIGHUP raises KeyboardInterrupt, Terminated or HungUp.

    Later ones are ignored; with `to_the_end` until the process ends: for the program itself, whose interpreter takes a while
    to end after the block. Else the handlers of before return. A signal that the caller ignores or handles in its own way
    stays as it is; outside the main thread nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = {number: signal.SIG_DFL for number in _ALL} | {signal.SIGINT: signal.default_int_handler}
    before = {number: handler for number, handler in usual.items() if signal.getsignal(number) == handler}
    for number in before:
        signal.signal(number, _obey)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if to_the_end else handler)


def _obey(number: int, frame: FrameType | None) -> None:
    for other in _ALL:
        if signal.getsignal(other) is _obey:
            signal.signal(other, signal.SIG_IGN)
    raise {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: Terminated}.get(signal.Signals(number), HungUp)


def what_was_saved(folder: str | os.PathLike | None) -> str:
    """A clause for a run that was stopped: up to which step it is saved, and how it goes on."""
    steps = [] if folder is None else list(places(RunFolder(Path(folder)).checkpoints))
    if not steps:
        return "nothing was saved"
    return f"saved at step {steps[-1]}; the same command goes on from there"
