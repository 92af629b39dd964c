"""Files that are either there in full or not there: written aside, synchronised with the disk, then renamed."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ASIDE = ".aside-"


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """Yields a temporary folder beside `final` and gives it that name when the block ends well, else removes it.

    The block synchronises what it writes (`sync`). Raises OSError when `final` exists and is not empty.
    """
    draft, missing = final.with_name(_aside(final.name)), missing_folders(final.parent)
    draft.mkdir(parents=True)
    try:
        yield draft
        sync(draft)
        os.rename(draft, final)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        remove_empty(missing)
        raise
    sync(final.parent)


def remove_folder(folder: Path) -> None:
    """Remove a folder that nobody may find half removed: it loses its name first."""
    doomed = folder.with_name(_aside(folder.name))
    os.rename(folder, doomed)
    shutil.rmtree(doomed)


def missing_folders(folder: Path) -> list[Path]:
    """Those that have to be made for `folder` to be there, the deepest first."""
    return [path for path in (folder, *folder.parents) if not path.exists()]


def remove_empty(folders: list[Path]) -> None:
    """Remove the folders, the deepest first, as far as they are empty."""
    for path in folders:
        if not path.is_dir() or any(path.iterdir()):
            return
        path.rmdir()


def sweep(folder: Path) -> int:
    """Remove what interrupted writers left beside their targets in `folder`; how many there were."""
    orphans = [path for path in folder.glob(ASIDE + "*") if not path.is_symlink()]
    for orphan in orphans:
        shutil.rmtree(orphan) if orphan.is_dir() else orphan.unlink()
    return len(orphans)


def replace_file(path: Path, content: bytes) -> None:
    """Write a file so that a reader, or the next start after a crash, finds the old content or the new."""
    draft = path.with_name(_aside(path.name))
    try:
        with named(path):
            draft.write_bytes(content)
            sync(draft)
            os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync(path.parent)


def create_file(path: Path, content: bytes) -> bool:
    """Write a file that nobody has written before, in full or not at all; False when another was first."""
    draft = path.with_name(_aside(path.name))
    try:
        with named(path):
            draft.write_bytes(content)
            sync(draft)
            first = _given_name(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    sync(path.parent)
    return first


def _given_name(draft: Path, path: Path) -> bool:
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links
        if path.exists():
            return False
        os.replace(draft, path)
    return True


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Puts the file's name into an OSError of the block that has none, as those of a full disk."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def sync(path: Path) -> None:
    """Wait until the disk holds the file, or the folder's list of names (which Windows keeps by itself)."""
    if os.name == "nt" and path.is_dir():
        return
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def to_json(value: Any) -> bytes:
    """One spelling for one value: sorted keys, two spaces, UTF-8, a newline at the end."""
    return (json.dumps(value, sort_keys=True, indent=2, ensure_ascii=False) + "\n").encode()


def _aside(name: str) -> str:
    return f"{ASIDE}{name}-{uuid.uuid4().hex[:8]}"


@contextmanager
def drafted(path: Path, run: Path) -> Iterator[Path]:
    """Yields a path of the same name in a temporary folder, and moves what was written there into place.

    That folder lies in the run's own, where what a killed process leaves of it is swept when the run goes on. An OSError of
    the block names `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=ASIDE, dir=run, ignore_cleanup_errors=True) as folder:
        draft = Path(folder) / path.name
        try:
            yield draft
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
        os.replace(draft, path)
