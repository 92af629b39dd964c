"""What ends a command before it is done: its one sentence, and its exit code."""

from __future__ import annotations

from sde_diffusion.io.lock import FolderInUse
from sde_diffusion.training.errors import LOST_WORKER, PeerError, first_line, is_out_of_memory
from sde_diffusion.training.signals import HungUp, Terminated

USER_ERRORS = (ValueError, TypeError, OSError, FloatingPointError, FolderInUse, PeerError)
"""The errors that say what is wrong with the input: their message is all that a user needs to see."""

REFUSED, NOT_FINITE, OUT_OF_MEMORY = 2, 3, 4
"""Exit codes. 0: done, 1: a check failed."""

STOPPED = {KeyboardInterrupt: ("interrupted", 130), Terminated: ("terminated", 143), HungUp: ("hung up", 129)}
"""How a command was stopped, and its exit code: 128 and the number of the signal, as shells have it."""


def exit_code(error: BaseException) -> int | None:
    """The exit code of an error that is no bug; None for one that is."""
    if isinstance(error, FloatingPointError):
        return NOT_FINITE
    if is_out_of_memory(error):
        return OUT_OF_MEMORY
    if isinstance(error, RuntimeError) and str(error).startswith(LOST_WORKER):  # torch says it at any moment
        return REFUSED
    return REFUSED if isinstance(error, USER_ERRORS) or type(error) is ArithmeticError else None  # a solver gave up


def message(error: Exception) -> str:
    """The message of an error on one line, short enough to be read; an operating system's error with its file."""
    if is_out_of_memory(error) and "batch_size" not in str(error):
        return f"there was not enough memory ({first_line(error)}); lower --chunk or --count, or take a smaller network"
    if isinstance(error, OSError) and error.strerror and error.filename:
        return f"{error.filename}: {error.strerror.lower()}"
    line = " ".join(str(error).split())
    return line if len(line) <= 800 else f"{line[:500]} ... {line[-200:]}"
