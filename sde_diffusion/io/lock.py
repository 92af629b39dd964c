"""One writer for a folder: a lock that the system releases when its holder ends, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.io.atomic import missing_folders, named, remove_empty

if TYPE_CHECKING:
    from filelock import FileLock


class FolderInUse(RuntimeError):
    """Another run writes to the folder."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds `folder/lock` for the length of the block.

    The file stays, since removing it would let two holders hold two files of one name; only the lock on it counts. Raises
    FolderInUse when another process, or another run in this one, holds it, and ValueError for a link in its place, which
    could lead to a file of somebody else. A block that fails in a new folder before it has written anything leaves no lock and
    no folder.
    """
    from filelock import FileLock, Timeout

    path = folder / "lock"
    missing = missing_folders(folder)
    new = not path.exists()
    folder.mkdir(parents=True, exist_ok=True)
    refuse_link(path)
    lock = FileLock(path, timeout=0)
    try:
        with named(path):
            _acquire(lock, path)
    except Timeout as error:
        raise FolderInUse(f"{folder} is in use by another run; wait for it to end or take another folder") from error
    try:
        yield
    except BaseException:
        if new and [entry.name for entry in folder.iterdir()] == [path.name]:
            _remove(path, missing)
        raise
    finally:
        lock.release()


def refuse_links(folder: Path) -> None:
    """Raises ValueError where a folder that is to be written to, or a folder in it, holds a symbolic link."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        refuse_link(path)
        for inner in sorted(path.iterdir()) if path.is_dir() else ():
            refuse_link(inner)


def _acquire(lock: FileLock, path: Path) -> None:
    """Lock the file of this name: another holder may remove it between its opening and its locking."""
    while True:
        path.touch()
        before = path.stat().st_ino
        lock.acquire()
        if path.exists() and path.stat().st_ino == before:
            return
        lock.release()


def _remove(path: Path, missing: list[Path]) -> None:
    """Remove the lock, which is still held, and the folders that were made for it."""
    try:
        path.unlink()
    except PermissionError:  # Windows removes no file that is open
        return
    remove_empty(missing)


def refuse_link(path: Path) -> None:
    """Raises ValueError where `path` is a symbolic link: what is opened there and written to would be another file."""
    if path.is_symlink():
        raise ValueError(f"{path} is a symbolic link, and a run writes into its own folder alone; remove the link")
