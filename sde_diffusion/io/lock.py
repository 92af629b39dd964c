"""One writer for a folder: a lock that the system lets go of when its holder ends, however it ends."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sde_diffusion.io.atomic import named


class FolderInUse(RuntimeError):
    """Another run writes to the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder/lock` for the length of the block.

    The file stays, since removing it would let two holders hold two files of one name; only the lock on it counts. It
    names the last holder. Raises FolderInUse when another process, or another run in this one, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+", encoding="utf-8") as file:
        if not _seize(file.fileno()):
            raise FolderInUse(f"{folder} is in use by {_holder(file)}; wait for it to end or take another folder")
        with named(folder / "lock"):
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
        yield


def _holder(file) -> str:
    file.seek(0)
    return file.read(200) or "another run"


def _seize(handle: int) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            os.lseek(handle, 2**30, os.SEEK_SET)  # a byte beyond the text, which stays readable
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
