"""Errors of training: those of other processes, and out-of-memory errors in words that name the setting to reduce.

Nothing here needs torch until an error is raised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager


class PeerError(RuntimeError):
    """Raised on the other ranks when one rank was refused, failed or was interrupted; its own message says why."""


LOST_WORKER = "DataLoader worker"
"""How torch begins what it says of one."""
_KINDS = {"MemoryError", "OutOfMemoryError"}
_WORDS = re.compile(r"out of memory|allocate memory|not enough memory|ALLOC_FAILED", re.IGNORECASE)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error is Python's MemoryError, torch's OutOfMemoryError, or the RuntimeError of an allocator."""
    if any(cls.__name__ in _KINDS for cls in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and _WORDS.search(str(error)) is not None


@contextmanager
def explain_out_of_memory(batch_size: int) -> Iterator[None]:
    """Turns such an error of a training step into torch.OutOfMemoryError of one sentence that names the settings."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        import torch

        raise torch.OutOfMemoryError(
            f"a training step ran out of memory ({first_line(error)}); lower batch_size ({batch_size}) or take a "
            "smaller network, in another folder; what was saved stands"
        ) from error


@contextmanager
def explain_lost_worker(workers: int) -> Iterator[None]:
    """Turns what torch says of a process that read the data and is gone into ChildProcessError of one sentence."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith(LOST_WORKER):
            raise
        raise ChildProcessError(
            f"a process that reads the data has ended ({first_line(error)}); where memory is short, lower workers "
            f"({workers}); what was saved stands"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of an error's message, cut where it becomes long; its type where there is no message."""
    line = (str(error).splitlines() or [""])[0].strip()
    return (line if len(line) <= 160 else f"{line[:160]}...") or type(error).__name__
