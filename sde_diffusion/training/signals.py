"""SIGINT and SIGTERM: deferred to the end of a step by the loop, obeyed once by the command line.

Interrupts that wait for the end of a step, so that they never find a state half updated.

SIGTERM, by which a scheduler asks a process to end: obeyed once, in good order.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HELD = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def deferred_signals() -> Iterator[list[tuple[int, FrameType | None]]]:
    """Collects SIGINT and SIGTERM in the list that it lends, and hands them on at the end of the block.

    Only signals with a Python handler are held (Ctrl-C has one unless it was taken away); a body that sees the list
    filled should come to its end. Outside the main thread, where no signal arrives, nothing is done.
    """
    arrived: list[tuple[int, FrameType | None]] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived
        return
    before = {number: handler for number in _HELD if callable(handler := signal.getsignal(number))}
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


@contextmanager
def terminable() -> Iterator[None]:
    """For the length of the block the first SIGTERM raises Terminated and later ones are ignored: the end has begun.

    Where the caller ignores SIGTERM or handles it in its own way, and outside the main thread, nothing changes.
    """
    usual = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if not usual:
        yield
        return
    signal.signal(signal.SIGTERM, _obey)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _obey(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated
