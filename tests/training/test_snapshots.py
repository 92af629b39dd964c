"""Snapshots of a run that is stopped, killed, spoilt or starved: those of the run that nobody disturbed, bit for bit."""

from __future__ import annotations

import errno
import os
import shutil
import signal

import pytest
import torch
from torch import nn

from sde_diffusion.io.atomic import ASIDE
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.sde import VP
from sde_diffusion.training import TrainSettings, load, train
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from sde_diffusion.training.checkpoints.snapshots import open_snapshot, snapshots
from sde_diffusion.training.ema.profile import gamma_of
from sde_diffusion.training.triggers import RunTriggers
from tests.training.conftest import STEPS
from tests.training.left_behind import contents

OFTEN = {"snapshot_every": 2, "log_every": 4, "checkpoint_every": 3}
DUE = [2, 4, 6, 8, STEPS]


def kept(folder):
    """All snapshots of a run, verified: {step: {length: state}}."""
    found = {step: open_snapshot(path) for step, path in snapshots(folder / "snapshots").items()}
    return {step: {length: one.average(length) for length in one.lengths} for step, one in found.items()}


@pytest.fixture
def straight(run, tmp_path):
    """The folder of a run never stopped."""
    run(tmp_path / "straight", **OFTEN).go()
    return tmp_path / "straight"


def test_a_snapshot_is_the_average_of_the_weights_so_far(run, tmp_path):
    """By its closed form, from the weights that each report sees; buffers are those of the model at that step."""
    whole, seen = run(tmp_path, snapshot_every=2), []
    for _ in whole.reports():
        seen.append({name: value.clone() for name, value in whole.denoiser.state_dict().items()})
    found = kept(tmp_path)
    assert list(found) == DUE
    parameters = {name for name, _ in whole.denoiser.named_parameters()}
    for step, averages in found.items():
        assert list(averages) == [0.05, 0.1]
        for length, state in averages.items():
            power = gamma_of(length) + 1
            shares = [((i + 1) / step) ** power - (i / step) ** power for i in range(step)]
            assert state.keys() == seen[step - 1].keys()
            for name, value in state.items():
                now = seen[step - 1][name]
                mean = sum(share * one[name] for share, one in zip(shares, seen, strict=False))
                torch.testing.assert_close(value, mean if name in parameters else now, rtol=1e-5, atol=1e-6)
    assert found[4][0.1]["backbone.calls"] == 4
    assert open_snapshot(tmp_path / "snapshots/step-000004").buffers == {"backbone.calls"}


@pytest.mark.parametrize("k", [1, 2])
def test_closed_after_any_report(run, same, straight, tmp_path, k):
    """After the 4th or the 8th of 9 steps, with checkpoints each 3: a snapshot falls due at the step that is left at."""
    run(tmp_path / "stopped", **OFTEN).go(reports=k)
    assert list(kept(tmp_path / "stopped")) == DUE[: 2 * k]
    run(tmp_path / "stopped", **OFTEN).go()
    assert same(kept(tmp_path / "stopped"), kept(straight))
    assert same(contents(tmp_path / "stopped"), contents(straight))


@pytest.mark.parametrize("k", range(STEPS))
def test_interrupted_in_any_step(run, same, straight, tmp_path, k):
    calls = []

    def interrupted(*args, **condition):
        if len(calls) == k:
            os.kill(os.getpid(), signal.SIGINT)
        calls.append(k)
        return DenoisingScoreMatching()(*args, **condition)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", interrupted, **OFTEN).go()
    assert list(kept(tmp_path / "stopped")) == [step for step in DUE if step <= k + 1]
    run(tmp_path / "stopped", **OFTEN).go()
    assert same(kept(tmp_path / "stopped"), kept(straight))


def test_what_is_newer_than_the_checkpoint_is_made_again(run, same, straight, tmp_path):
    """As a run leaves it that is killed before a save: at any checkpoint, with foreign snapshots after it."""
    for step in checkpoints(straight / "checkpoints"):
        folder = tmp_path / str(step)
        shutil.copytree(straight, folder)
        for number, path in checkpoints(folder / "checkpoints").items():
            if number > step:
                shutil.rmtree(path)
        for number, path in snapshots(folder / "snapshots").items():
            if number > step:
                (path / "sigma-0.1.safetensors").write_bytes(b"foreign")
        (folder / "snapshots" / f"{ASIDE}step-000004-1").mkdir()
        run(folder, **OFTEN).go()
        assert same(kept(folder), kept(straight))
        assert not list(folder.rglob(ASIDE + "*"))


def test_a_run_killed_before_its_first_checkpoint_begins_them_anew(run, same, straight, tmp_path):
    shutil.copytree(straight, tmp_path / "early")
    shutil.rmtree(tmp_path / "early/checkpoints")
    run(tmp_path / "early", **OFTEN).go()
    assert same(kept(tmp_path / "early"), kept(straight))


def test_pruning_and_skipped_steps_leave_them(run, tmp_path):
    """One checkpoint stays, all snapshots do; a step that was not finite counts as one in which nothing moved."""
    calls = []

    def spoilt(*args, **condition):
        calls.append(1)
        factor = float("nan") if len(calls) in (3, 4) else 1.0
        return DenoisingScoreMatching()(*args, **condition) * factor

    run(tmp_path, spoilt, snapshot_every=1, checkpoint_every=1, max_checkpoints=1).go()
    assert list(checkpoints(tmp_path / "checkpoints")) == [STEPS]
    found = kept(tmp_path)
    assert list(found) == list(range(1, STEPS + 1))
    assert all(bool(value.isfinite().all()) for value in found[STEPS][0.05].values())


def test_other_intervals_are_the_same_run_and_other_lengths_another(run, same, straight, tmp_path, is_sentence):
    run(tmp_path / "stopped", **OFTEN).go(reports=1)
    run(tmp_path / "stopped", **(OFTEN | {"snapshot_every": 3})).go()
    assert list(kept(tmp_path / "stopped")) == [2, 4, 6, 9]
    assert same(kept(tmp_path / "stopped")[6], kept(straight)[6])
    for changed, words in (({"snapshot_every": 0}, "absent here"), ({"snapshot_lengths": (0.2,)}, r"\[0.2\] here")):
        with pytest.raises(ValueError, match=f"another run: snapshot_lengths is .*{words}") as caught:
            run(straight, **(OFTEN | changed)).go()
        assert is_sentence(caught.value)


def test_without_snapshots_nothing_is_tracked_and_nothing_else_differs(run, same, straight, tmp_path):
    other = run(tmp_path / "plain", log_every=4, checkpoint_every=3)
    other.go()
    assert not (tmp_path / "plain/snapshots").exists()
    last, tracked = (load(checkpoints(folder / "checkpoints")[STEPS]) for folder in (tmp_path / "plain", straight))
    assert (last.power, len(tracked.power)) == ({}, 2 * sum(1 for _ in other.denoiser.parameters()))
    assert same(vars(last) | {"state": 0, "power": 0}, vars(tracked) | {"state": 0, "power": 0})


@pytest.mark.parametrize("name", ["power.safetensors", "state.json"])
def test_the_averages_of_a_checkpoint_are_verified(run, straight, name):
    path = checkpoints(straight / "checkpoints")[STEPS] / name
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="falling back to step-000006"):
        run(straight, **OFTEN).go()


def test_the_disk_is_full_at_any_file_of_a_snapshot(run, same, straight, monkeypatch, tmp_path, is_sentence):
    """At each synchronisation of the snapshot of step 4, which has three files, a list and two folders."""
    fsync = os.fsync
    for nth in range(1, 7):
        folder, calls = tmp_path / str(nth), []
        run(folder, **(OFTEN | {"log_every": 3})).go(reports=1)

        def full(handle, calls=calls, nth=nth):
            calls.append(handle)
            if len(calls) == nth:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match=r"step-000004 was not saved \(.*No space left") as caught:
                run(folder, **OFTEN).go()
        assert is_sentence(caught.value)
        assert len(calls) == nth, "it tried again"
        assert list(checkpoints(folder / "checkpoints")) == [3]
        assert not list(folder.rglob(ASIDE + "*"))
        run(folder, **OFTEN).go()
        assert same(kept(folder), kept(straight))


def test_snapshots_without_a_folder_are_refused(is_sentence):
    from sde_diffusion.denoisers.base import Preconditioned
    from sde_diffusion.networks import TimeMLP
    from sde_diffusion.parameterization import EDMPreconditioning

    denoiser: nn.Module = Preconditioned(TimeMLP(2, width=4, depth=1), EDMPreconditioning())
    with pytest.raises(ValueError, match="no folder for snapshots") as caught:
        train(denoiser, VP(), torch.zeros(4, 2), TrainSettings(steps=2, batch_size=2, snapshot_every=1))
    assert is_sentence(caught.value)


@pytest.mark.parametrize("every", [1, 2, 3, 5, 7, 20, 100])
def test_the_triggers_pass_by_no_step_that_is_due(every):
    """From one synchronisation to the next, each multiple and the last step is met, once; step 0 is none."""
    settings = TrainSettings(steps=20, checkpoint_every=6, max_consecutive_skips=4, log_every=3, snapshot_every=every)
    due, step, met = RunTriggers(settings), 0, []
    assert not due.snapshot(0)
    while step < 20:
        step = min(due.next_sync(step), due.next_report(step))
        met += [step] if due.snapshot(step) else []
    assert met == sorted({*range(every, 21, every), 20})
