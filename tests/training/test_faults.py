"""Faults of the machine: a kill in the middle of a save, a full disk, two runs in one folder."""

from __future__ import annotations

import os
import random
import resource
import signal
import time

import pytest
import torch
from safetensors import SafetensorError

from sde_diffusion.training import Checkpoint, checkpoint, latest, load, save
from sde_diffusion.training.checkpoint import checkpoints, prune
from sde_diffusion.training.files import ASIDE, sweep
from sde_diffusion.training.lock import FolderInUse, locked

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the faults are injected into forked children")


def sized(step: int, numbers: int = 20_000) -> Checkpoint:
    weights = {"w": torch.full((numbers,), float(step))}
    return Checkpoint(step, weights, weights, {"state": {0: dict(weights)}}, {"step": step})


def test_a_kill_during_a_save_loses_no_acknowledged_step(tmp_path, apart):
    """8 kills, at moments drawn with a fixed seed within about ten saves; the acknowledged steps come by a pipe."""
    drawn, orphans = random.Random(1), 0
    for attempt in range(8):
        reader, writer = os.pipe()
        folder = tmp_path / str(attempt)
        folder.mkdir()

        def saving(folder=folder, writer=writer):
            for step in range(1, 10_000):
                save(folder, sized(step))
                os.write(writer, step.to_bytes(4, "big"))
                prune(folder, keep=2, step=step)

        child = apart(saving)
        first = os.read(reader, 4)
        time.sleep(drawn.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        os.close(writer)
        acknowledged = int.from_bytes((first + read_all(reader))[-4:], "big")
        assert 1 <= newest(folder) - acknowledged + 1 <= 2
        orphans += sweep(folder)
        assert not list(folder.glob(ASIDE + "*"))
        assert newest(folder) >= acknowledged
    assert orphans > 0, "no kill fell into a save: the test tested nothing"


def newest(folder):
    """The step of the newest checkpoint, every number of which is checked."""
    found = load(latest(folder))
    for tensors in (found.model, found.ema, found.optimizer["state"][0]):
        assert bool((tensors["w"] == found.step).all())
    assert found.state == {"step": found.step}
    return found.step


def read_all(reader):
    parts = []
    while part := os.read(reader, 4096):
        parts.append(part)
    os.close(reader)
    return b"".join(parts)


@pytest.mark.parametrize(
    ("limit", "cause"), [(10, SafetensorError), (50_000, SafetensorError), (80_500, RuntimeError)], ids=str
)
def test_a_full_disk_is_an_error_and_leaves_nothing_behind(tmp_path, apart, is_sentence, limit, cause):
    """A limit on a file's size, in bytes, stops the safetensors (80,072) or only the optimizer's archive (81,000)."""
    save(tmp_path, sized(1, 10))

    def saving():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(OSError, match="was not saved") as caught:
            save(tmp_path, sized(2))
        assert is_sentence(caught.value)
        assert isinstance(caught.value.__cause__, cause)

    assert os.waitstatus_to_exitcode(os.waitpid(apart(saving), 0)[1]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["step-000001"]
    assert newest(tmp_path) == 1


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


def test_a_second_run_in_the_folder_is_refused(run, tmp_path, is_sentence):
    first = run(tmp_path).reports()
    next(first)
    with pytest.raises(FolderInUse, match=f"process {os.getpid()}") as caught:
        run(tmp_path).go()
    assert is_sentence(caught.value)
    assert next(first).step == 2
    first.close()
    assert run(tmp_path).go()[0].step == 3


def test_the_lock_ends_with_its_holder(tmp_path, apart):
    reader, writer = os.pipe()

    def holding():
        with locked(tmp_path):
            os.write(writer, b"held")
            time.sleep(60)

    child = apart(holding)
    assert os.read(reader, 4) == b"held"
    with pytest.raises(FolderInUse, match=f"process {child}"), locked(tmp_path):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with locked(tmp_path):
        pass
    os.close(reader)
    os.close(writer)
