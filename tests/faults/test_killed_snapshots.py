"""A process that is killed, at any moment, leaves whole snapshots, and the run that goes on has those of the undisturbed one."""

from __future__ import annotations

import random
import shutil
import signal
import time

import pytest

from sde_diffusion.io.atomic import ASIDE
from sde_diffusion.training.checkpoints.snapshots import open_snapshot, snapshots
from tests.faults import bodies
from tests.faults.conftest import one_in

OFTEN = bodies.LONG | {"snapshot_every": 1}


def digests(folder) -> dict[int, str]:
    """Of every snapshot, verified."""
    found = {step: open_snapshot(path) for step, path in snapshots(folder / "snapshots").items()}
    return {
        step: bodies.digest(
            {f"{length}/{name}": value for length in one.lengths for name, value in one.average(length).items()}
        )
        for step, one in found.items()
    }


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The snapshots of the run that nobody kills, the first 60 of them."""
    folder = tmp_path_factory.mktemp("straight")
    bodies.Run(folder, **(OFTEN | {"checkpoint_every": 10**6})).go(reports=60)
    return digests(folder)


def recovered(run, folder, reference) -> int:
    """The last step with a snapshot, as the kill left them; then one report more, after which none is missing."""
    left = digests(folder)
    assert left == {step: reference[step] for step in left}, "other averages than the run's"
    (report,) = run(folder, **OFTEN).go(reports=1)
    assert digests(folder) == {step: reference[step] for step in range(1, report.step + 1)}
    assert not list(folder.rglob(ASIDE + "*")), "orphans are left"
    return max(left, default=0)


@one_in(4)
def test_killed_before_each_change_of_the_disk(run, child, reference, attempted, tmp_path, every):
    """Every file opened, renamed or removed by two steps with their snapshots, checkpoints and prunings."""
    run(tmp_path / "begun", **OFTEN).go(reports=2)
    seen = []

    def killed(nth):
        folder = tmp_path / f"at-{nth}"
        shutil.copytree(tmp_path / "begun", folder)
        with child(bodies.train_until_the_nth_change, folder, nth, OFTEN, name=str(nth)) as trained:
            return folder, trained.ended(), trained.acknowledged()

    def attempt(nth):
        folder, code, _ = killed(nth)
        assert code == -signal.SIGKILL
        seen.append(recovered(run, folder, reference))
        shutil.rmtree(folder)

    _, code, (third, fourth, changes) = killed(10**6)
    assert (code, third, fourth) == (0, 3, 4)
    attempted(range(1, changes + 1, every), attempt)
    assert set(seen) == {2, 3, 4}, "no kill fell between a snapshot and its checkpoint"


@pytest.mark.parametrize("attempts", [5, pytest.param(50, marks=pytest.mark.weekly)])
def test_killed_at_any_moment(run, child, reference, attempted, tmp_path, attempts):
    """Within about ten steps, at moments drawn with a fixed seed."""
    drawn = random.Random(1)

    def attempt(number):
        folder = tmp_path / str(number)
        with child(bodies.train, folder, OFTEN, name=str(number)) as trained:
            trained.wait_for(1)
            time.sleep(drawn.uniform(0, 0.1))
            assert trained.kill() == -signal.SIGKILL
            acknowledged = trained.acknowledged()[-1]
        assert recovered(run, folder, reference) in (acknowledged, acknowledged + 1)
        shutil.rmtree(folder)

    attempted(range(attempts), attempt)
