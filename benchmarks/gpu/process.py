"""How a process comes to its end: with its parent, or at a time, even where Python hangs."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager


def end_with_the_parent() -> None:
    """Ends this process and those that it has started when the standard input is closed, as it is when the parent ends."""

    def wait() -> None:
        sys.stdin.buffer.read()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=wait, daemon=True).start()


@contextmanager
def alarm(seconds: float) -> Iterator[None]:
    """The operating system ends the process after so many seconds of the block."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
