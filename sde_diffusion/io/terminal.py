"""Words on the standard streams, which never lose what a command has made, and the progress of long loops.

A terminal that cannot show a character gets a question mark in its place. When the reader of a pipe, or the terminal, is
gone, the rest of the output is dropped. Progress is a bar on a terminal, otherwise a line for each tenth, as in the log of a
batch job.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, TextIO, TypeVar

T = TypeVar("T")

LONG = 10.0
"""Seconds after which a loop is long enough for lines."""


def say(text: object, stream: TextIO | None = None) -> None:
    """Write one line, or several, on the standard output or on another stream.

    Raises OSError, with the name of the stream, for a full disk behind it.
    """
    to = stream or sys.stdout
    try:
        to.write(f"{text}\n")
        to.flush()
    except UnicodeEncodeError:
        encoding = getattr(to, "encoding", None) or "ascii"
        say(str(text).encode(encoding, "replace").decode(encoding), stream)
    except OSError as error:
        _drop(to)
        if error.errno not in _GONE:
            raise OSError(error.errno, error.strerror, getattr(to, "name", "the output")) from error


_GONE = (None, errno.EPIPE, errno.EIO, errno.EBADF)
"""A pipe without a reader, a terminal that was closed, a stream that was."""


def complain(text: object) -> None:
    """Write a line on the standard error; nothing where it cannot be written."""
    try:
        say(text, sys.stderr)
    except OSError:
        return


def flush_output() -> None:
    """Write what the standard output still holds; see `say`."""
    try:
        sys.stdout.flush()
    except OSError:
        _drop(sys.stdout)


def open_closed_streams() -> None:
    """Point each standard stream of the process that is closed (`>&-`) at nothing.

    Else the next file that is opened would get its number, and what is written on the standard error would go into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", encoding="utf-8", closefd=False))


def _drop(stream: TextIO) -> None:
    """Point a stream at nothing: Python would otherwise fail to flush it when it exits."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # a stream without a file descriptor
        return


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
        line = f"{start}{self.unit} {done} of {self.total} ({100 * done // max(self.total, 1)}%){more}, {_clock(left)} left"
        complain(line)


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
