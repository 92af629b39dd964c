"""Text on standard output that never ends a command: what it reports is already on disk.

A terminal that cannot show a character gets a question mark in its place. When the reader of a pipe is gone, the rest of the
output is dropped.
"""

from __future__ import annotations

import os
import sys


def say(text: object) -> None:
    """Print one line, or several."""
    try:
        print(text, flush=True)
    except UnicodeEncodeError:
        encoding = getattr(sys.stdout, "encoding", None) or "ascii"
        say(str(text).encode(encoding, "replace").decode(encoding))
    except BrokenPipeError:
        _drop_output()


def _drop_output() -> None:
    """Point standard output at nothing: Python would otherwise fail to flush it when it exits."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # a stream without a file descriptor
        return
