"""One writer for a folder: a lock that the system releases when its holder ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sde_diffusion.io.atomic import named


class FolderInUse(RuntimeError):
    """Another run writes to the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder/lock` for the length of the block.

    The file stays, since removing it would let two holders hold two files of one name; only the lock on it counts. Raises
    FolderInUse when another process, or another run in this one, holds it, and ValueError for a link in its place, which
    could lead to a file of somebody else.
    """
    from filelock import FileLock, Timeout

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lock"
    refuse_link(path)
    lock = FileLock(path, timeout=0)
    try:
        with named(path):
            lock.acquire()
    except Timeout as error:
        raise FolderInUse(f"{folder} is in use by another run; wait for it to end or take another folder") from error
    try:
        yield
    finally:
        lock.release()


def refuse_link(path: Path) -> None:
    """Raises ValueError where `path` is a symbolic link: what is opened there and written to would be another file."""
    if path.is_symlink():
        raise ValueError(f"{path} is a symbolic link, and what a run writes is its own file; remove the link")
