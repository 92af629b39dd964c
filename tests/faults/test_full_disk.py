"""A disk without room, a folder that may not be written: an error, the old checkpoints, nothing half written.

A limit on the size of a file (RLIMIT_FSIZE) stands for the full disk. The superuser may write anywhere, so that the
children give up his rights before they meet a read-only folder.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from pathlib import Path

import pytest

from sde_diffusion.cli.main import main
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.io.atomic import ASIDE, create_file, replace_file
from sde_diffusion.training import latest, load, save
from sde_diffusion.training.checkpoints import checkpoint
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.cli.conftest import TINY
from tests.faults import bodies
from tests.faults.conftest import one_in, sentences

OFTEN = {"checkpoint_every": 2, "max_checkpoints": 100}


ROOMS = [600, *((f"{name}.safetensors", share) for name in ("ema", "optimizer") for share in (0.5, 0.999))]


@one_in(2)
def test_a_checkpoint_for_which_there_is_no_room(run, same, child, attempted, tmp_path, is_sentence, every):
    """The limit falls into the weights, the average or the optimizer, at their beginning, middle and end."""
    straight = run()
    straight.go()

    def attempt(room):
        folder = tmp_path / str(ROOMS.index(room))
        run(folder, **OFTEN).go(reports=3)
        if not isinstance(room, int):
            room = int((folder / "checkpoints/step-000002" / room[0]).stat().st_size * room[1])
        (folder / "metrics.jsonl").unlink()  # so that the limit meets the checkpoint
        before = {path: path.read_bytes() for path in folder.rglob("step-*/*")}
        with child(bodies.train_with_room_for, folder, room, OFTEN, name=f"in-{room}") as starved:
            assert starved.ended() == 2, starved.words()
            said = starved.words()
            assert starved.acknowledged() == []
        assert said.startswith("OSError"), said
        assert "was not saved" in said, said
        assert is_sentence(said.strip())
        assert {path: path.read_bytes() for path in folder.rglob("step-*/*")} == before
        assert not list(folder.rglob(ASIDE + "*"))
        again = run(folder, **OFTEN)
        assert again.go()[0].step == 4
        assert same(again.weights(), straight.weights())

    attempted(ROOMS[::every], attempt)


def test_the_disk_is_full_at_any_file_of_a_checkpoint(run, attempted, monkeypatch, tmp_path, is_sentence):
    """The system reports it when a file is synchronised: each of the seven times of a save in turn."""
    fsync = os.fsync

    def attempt(nth):
        folder, calls = tmp_path / str(nth), []
        run(folder, **OFTEN).go(reports=2)
        whole = run(folder, **OFTEN)

        def full(handle):
            calls.append(handle)
            if len(calls) == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left") as caught:
                whole.go()
        assert is_sentence(caught.value)
        assert len(calls) == nth, "it tried again"
        assert list(checkpoints(folder / "checkpoints"))[:1] == [2]
        assert load(latest(folder / "checkpoints")).step == (2 if nth < 7 else 4)
        assert not list(folder.rglob(ASIDE + "*"))
        assert run(folder, **OFTEN).go()[-1].step == 9

    attempted(range(1, 8), attempt)


def test_reports_for_which_there_is_no_room(run, child, tmp_path):
    """The sentence names the file; half a line is left, which the next start removes."""
    folder, many = tmp_path / "run", {"steps": 400, "max_checkpoints": 2}
    run(folder, **many).go(reports=200)
    written = (folder / "metrics.jsonl").stat().st_size
    assert written > max(path.stat().st_size for path in folder.rglob("step-*/*"))
    with child(bodies.train_with_room_for, folder, written + 250, many) as starved:
        assert starved.ended() == 2, starved.words()
        assert str(folder / "metrics.jsonl") in starved.words()
        assert starved.acknowledged() == [201]
    assert (folder / "metrics.jsonl").stat().st_size == written + 250
    assert len(metrics_file.read(folder / "metrics.jsonl")) == 201
    assert latest(folder / "checkpoints").name == "step-000202"
    assert run(folder, **many).go(reports=1)[0].step == 203
    assert [record["step"] for record in metrics_file.read(folder / "metrics.jsonl")][199:] == [200, 201, 203]


def test_a_run_stops_when_it_cannot_save(run, monkeypatch, tmp_path):
    """Once: it does not try again on its way out, and what it had is what a later run resumes from."""
    calls = []

    def failing(folder, *args):
        calls.append(folder)
        if len(calls) == 2:
            raise OSError("no space left")
        return save(folder, *args)

    monkeypatch.setattr(checkpoint, "save", failing)
    with pytest.raises(OSError, match="no space left"):
        run(tmp_path, checkpoint_every=2).go()
    assert len(calls) == 2
    assert list(checkpoints(tmp_path / "checkpoints")) == [2]
    assert run(tmp_path, checkpoint_every=2).go()[0].step == 3


def test_the_command_without_room(child, tmp_path):
    """Exit code 2 and one sentence; nothing says that it was saved."""
    wanted = ["train", *TINY, "--output", str(tmp_path / "run")]
    assert main([*wanted]) == 0
    shutil.rmtree(tmp_path / "run/checkpoints")
    with child(bodies.command_with_room_for, wanted, 5000) as command:
        assert command.ended() == 2
        said = sentences(command.words())
    assert len(said) == 1, said
    assert said[0].startswith("sde-diffusion: ")
    assert "was not saved" in said[0]
    assert list((tmp_path / "run/checkpoints").iterdir()) == []


@pytest.fixture
def closing(tmp_path):
    """`closing(folder, mode)` sets the mode of a folder, which is open again at the end."""
    closed = []

    def close(folder: Path, mode: int = 0o555) -> None:
        closed.append(folder)
        folder.chmod(mode)

    yield close
    for folder in closed:
        folder.chmod(0o755)


WITHOUT_RIGHTS = pytest.mark.skipif(
    os.geteuid() == 0 and sys.platform != "linux", reason="the superuser's rights are given up as Linux does it"
)


@WITHOUT_RIGHTS
@pytest.mark.parametrize("which", [".", "checkpoints"])
def test_a_read_only_folder(run, child, tmp_path, closing, which):
    """The folder of the run, or only that of its checkpoints."""
    folder = tmp_path / "run"
    run(folder, **OFTEN).go(reports=3)
    if which == ".":
        (folder / "lock").unlink()
    closing(folder / which)
    with child(bodies.train_without_rights, folder, OFTEN) as starved:
        assert starved.ended() == 2, starved.words()
        said = starved.words()
    assert "ermission denied" in said
    assert str(folder) in said
    assert list(checkpoints(folder / "checkpoints")) == [2, 3]
    assert load(latest(folder / "checkpoints")).step == 3
    assert not list(folder.rglob(ASIDE + "*"))


@WITHOUT_RIGHTS
def test_checkpoints_that_may_not_be_listed(run, child, tmp_path, closing):
    """No run without checkpoints, which would begin anew."""
    folder = tmp_path / "run"
    run(folder, **OFTEN).go(reports=3)
    closing(folder / "checkpoints", 0)
    with child(bodies.train_without_rights, folder, OFTEN) as starved:
        assert starved.ended() == 2, starved.words()
        said = starved.words()
    assert "ermission denied" in said
    assert str(folder / "checkpoints") in said
    assert list(checkpoints(folder / "checkpoints")) == [2, 3]


@WITHOUT_RIGHTS
def test_the_command_in_a_read_only_folder(child, tmp_path, closing):
    folder = tmp_path / "closed"
    folder.mkdir()
    closing(folder)
    with child(bodies.command_without_rights, ["train", *TINY, "--output", str(folder / "run")]) as command:
        code, said = command.ended(), command.words()
    assert (code, said) == (2, f"sde-diffusion: {folder / 'run'}: permission denied\n")
    assert os.listdir(folder) == []


@pytest.mark.parametrize("place", ["checkpoints", "metrics.jsonl", "lock"])
def test_something_else_in_its_place(run, tmp_path, place):
    """A file where a folder belongs, a folder where a file does: an error that names it, before the first step."""
    (tmp_path / "run").mkdir()
    path = tmp_path / "run" / place
    if place == "checkpoints":
        path.write_text("mine")
    else:
        path.mkdir()
    with pytest.raises(OSError, match=place):
        run(tmp_path / "run").go()
    assert path.exists()
    assert not list(tmp_path.rglob("step-*"))


def test_the_command_without_room_at_its_start(child, tmp_path):
    """Its first file is not written in part: nothing is left, and the next start has nothing in its way."""
    wanted, room = ["train", *TINY, "--output", str(tmp_path / "run")], 400
    with child(bodies.command_with_room_for, wanted, room) as command:
        assert command.ended() == 2
        assert command.words() == f"sde-diffusion: {tmp_path / 'run' / 'config.json'}: file too large\n"
    assert not (tmp_path / "run").exists()
    assert main(wanted) == 0
    assert (tmp_path / "run/config.json").stat().st_size > room


def test_a_full_disk_is_told_with_the_name_of_the_file(monkeypatch, tmp_path):
    def full(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*config\.json"):
        replace_file(tmp_path / "config.json", b"{}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False])
def test_a_file_is_created_once(monkeypatch, tmp_path, links):
    """With hard links, and on a file system that has none."""

    def none(*_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    if not links:
        monkeypatch.setattr(os, "link", none)
    assert create_file(tmp_path / "config.json", b"first")
    assert not create_file(tmp_path / "config.json", b"second")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("config.json", b"first")]
