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


def refuse_links(folder: Path) -> None:
    """Raises ValueError where a folder that is to be written to, or a folder in it, holds a symbolic link."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        refuse_link(path)
        for inner in sorted(path.iterdir()) if path.is_dir() else ():
            refuse_link(inner)


def refuse_link(path: Path) -> None:
    """Raises ValueError where `path` is a symbolic link: what is opened there and written to would be another file."""
    if path.is_symlink():
        raise ValueError(f"{path} is a symbolic link, and a run writes into its own folder alone; remove the link")
