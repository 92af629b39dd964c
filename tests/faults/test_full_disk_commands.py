"""A full disk under every command: one sentence that names the file or its folder, exit code 2, and no file that is half written."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from sde_diffusion.cli.main import main
from sde_diffusion.io.atomic import ASIDE
from sde_diffusion.io.lock import locked
from tests.cli.conftest import snapped
from tests.cli.every_command import COMMANDS, NEEDS_FOLDER
from tests.faults import bodies
from tests.faults.conftest import sentences
from tests.faults.test_streams import whole

__all__ = ["snapped"]

DAILY = ("sample", "export", "tune", "train", "check")
EVERY = [name if name in DAILY else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]


def largest(folder, names) -> int:
    return max((folder / name).stat().st_size for name in names if name in {path.name for path in folder.iterdir()})


@pytest.mark.parametrize("command", EVERY)
def test_a_command_on_a_full_disk(child, snapped, tmp_path, command):
    """No file may grow beyond all, half, or nearly all of the largest one; the same command then ends well."""
    wanted, good = COMMANDS[command], tmp_path / "good"
    if command in NEEDS_FOLDER:
        good.mkdir()
    with child(bodies.command, wanted.arguments(snapped, good), name="good") as process:
        assert process.ended() == 0, process.words()
    size = largest(good, wanted.files)
    for room in (64, size // 2, size - 1):
        out = tmp_path / "new" / str(room)
        if command in NEEDS_FOLDER:
            out.mkdir(parents=True)
        with child(bodies.command_on_a_full_disk, wanted.arguments(snapped, out), room, name=str(room)) as process:
            assert process.ended() == 2, process.words()
            said = sentences(process.words())
        assert said[-1].startswith("sde-diffusion: ")
        assert str(out) in said[-1]
        assert not [line for line in said[:-1] if not line.startswith("sde-diffusion: warning: ")]
        assert not list(tmp_path.rglob(f"{ASIDE}*"))
        assert not list(tmp_path.rglob("*.partial"))
        there = [path.name for path in out.iterdir() if path.is_file()] if out.exists() else []
        assert whole(out, [name for name in there if name in wanted.files])
        assert "lock" not in there or "config.json" in there
    assert main(wanted.arguments(snapped, out)) == 0
    assert whole(out, wanted.files)


def fill(folder, change: Callable[[Path], object]) -> None:
    """Hold the folder's lock, change a file beside it, and fail as on a full disk."""
    with locked(folder):
        change(folder / "config.json")
        raise OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("leave", [False, True])
def test_a_lock_is_left_where_something_else_is(tmp_path, leave):
    """Removed is only a lock that is new, alone, and of a block that failed; with it the folders that were made for it."""
    folder = tmp_path / "new" / "run"
    with pytest.raises(OSError, match="full"):
        fill(folder, Path.touch if leave else Path.exists)
    assert (folder / "lock").exists() is leave
    assert (tmp_path / "new").exists() is leave
    if leave:
        with pytest.raises(OSError, match="full"):
            fill(folder, Path.unlink)
        assert [path.name for path in folder.iterdir()] == ["lock"], "it was there before"


def test_a_lock_that_another_run_removes_meanwhile_is_not_held(tmp_path, monkeypatch):
    """Between the opening of the file and its locking: the second file of that name is the one that is locked."""
    acquire, removed = FileLock.acquire, []

    def late(lock, *arguments, **options):
        found = acquire(lock, *arguments, **options)
        if not removed:
            removed.append(os.unlink(tmp_path / "lock"))
        return found

    monkeypatch.setattr(FileLock, "acquire", late)
    with locked(tmp_path):
        assert len(removed) == 1
        with pytest.raises(Timeout):
            FileLock(tmp_path / "lock", timeout=0, is_singleton=False).acquire()
