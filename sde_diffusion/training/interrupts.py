"""Interrupts that wait for the end of a step, so that they never find a state half updated."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_HELD = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def held() -> Iterator[list[tuple[int, FrameType | None]]]:
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
