"""Progress of long loops: a bar on a terminal, otherwise a line for each tenth, as in the log of a batch job."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

LONG = 10.0
"""Seconds after which a loop is long enough for lines."""


def progress_bar(things: Iterable[T], words: str, unit: str = "it", speaks: bool = True) -> Iterable[T]:
    """The things behind a bar that is removed at the end; off a terminal, lines once the loop has taken `LONG` seconds.

    Silent where `speaks` is False.
    """
    if speaks and not on_terminal() and hasattr(things, "__len__"):
        return _with_lines(things, len(things), words, unit)  # pyright: ignore[reportArgumentType]
    from tqdm import tqdm

    return tqdm(things, words, unit=unit, disable=None if speaks else True, leave=False, **tqdm_options())


def _with_lines(things: Iterable[T], total: int, words: str, unit: str) -> Iterator[T]:
    lines = TenthLines(total, words, unit, after=LONG)
    for done, thing in enumerate(things, 1):
        yield thing
        lines.update(done)


class TenthLines:
    """A line on the standard error at each tenth of a loop, none before `after` seconds."""

    def __init__(self, total: int, words: str, unit: str = "step", after: float = 0.0) -> None:
        self.total, self.words, self.unit, self.after = total, words, unit, after
        self.begun, self.first, self.shown = time.monotonic(), 0, 0

    def begin(self, done: int) -> None:
        """Go on from `done`: the time left is that of what is done from here on."""
        self.begun, self.first, self.shown = time.monotonic(), done, 10 * done // max(self.total, 1)

    def update(self, done: int, note: str = "") -> None:
        """`done` of them are done; a line when a tenth has been passed."""
        tenth, seconds = 10 * done // max(self.total, 1), time.monotonic() - self.begun
        if tenth <= self.shown or seconds < self.after:
            return
        self.shown = tenth
        left = seconds / max(done - self.first, 1) * (self.total - done)
        start = f"{self.words}: " if self.words else ""
        more = f", {note}" if note else ""
        line = f"{start}{self.unit} {done} of {self.total} ({10 * tenth}%){more}, {_clock(left)} left"
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()


def on_terminal() -> bool:
    """Whether the standard error is a terminal."""
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def tqdm_options() -> dict[str, Any]:
    """tqdm's options: follow the terminal's width, or take a usual one where the terminal reports none.

    Terminals in some containers report none, and tqdm would draw nothing there.
    """
    try:
        known = all(os.get_terminal_size(sys.stderr.fileno()))
    except (OSError, ValueError, AttributeError):
        known = True
    return {"dynamic_ncols": True} if known else {"ncols": 100, "nrows": 20}


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"
