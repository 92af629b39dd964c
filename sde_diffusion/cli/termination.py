"""SIGTERM, by which a scheduler asks a process to end: obeyed once, in good order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
