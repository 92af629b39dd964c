"""A process that is killed, at any moment, has lost nothing that it had acknowledged."""

from __future__ import annotations

import random
import shutil
import signal
import time

import pytest

from sde_diffusion.io.atomic import ASIDE
from sde_diffusion.training import latest, load
from tests.faults import bodies
from tests.faults.conftest import one_in

EVERYDAY, ALL = 10, 100


@pytest.fixture(scope="module")
def reference():
    """The weights, averages and moments after each step of the run that nobody kills."""
    run, steps = bodies.Run(**(bodies.LONG | {"checkpoint_every": 10**6})), {}
    for report in run.reports():
        steps[report.step] = bodies.digest(run.weights())
    return steps


def recovered(run, folder, reference) -> int:
    """The step from which a killed run goes on, verified before anything is swept, its weights those of `reference`."""
    newest = latest(folder / "checkpoints")
    step = 0
    if newest is not None:
        found = load(newest)
        step = found.step
        averages = {f"ema.{name}": value for name, value in found.ema.items()}
        assert bodies.digest(found.model | averages) == reference[step], "other weights than the run's"
    again = run(folder, **bodies.LONG)
    (report,) = again.go(reports=1)
    assert report.step == step + 1
    assert bodies.digest(again.weights()) == reference[step + 1], "it goes on otherwise"
    assert not list(folder.rglob(ASIDE + "*")), "orphans are left"
    return step


@pytest.mark.parametrize("attempts", [EVERYDAY, pytest.param(ALL, marks=pytest.mark.weekly)])
def test_killed_at_any_moment(run, child, reference, attempted, tmp_path, attempts):
    """Within about twenty steps, at moments drawn with a fixed seed; the child announces each step it has saved."""
    drawn, orphans = random.Random(1), []

    def attempt(number):
        folder = tmp_path / str(number)
        with child(bodies.train, folder, bodies.LONG, name=str(number)) as trained:
            trained.wait_for(1)
            time.sleep(drawn.uniform(0, 0.15))
            assert trained.kill() == -signal.SIGKILL
            acknowledged = trained.acknowledged()[-1]
        orphans.extend(folder.rglob(ASIDE + "*"))
        assert recovered(run, folder, reference) in (acknowledged, acknowledged + 1)
        shutil.rmtree(folder)

    attempted(range(attempts), attempt)
    assert orphans, "no kill fell into a save: the test tested nothing"


@one_in(4)
def test_killed_before_each_change_of_the_disk(run, child, reference, attempted, tmp_path, every):
    """Every file opened, renamed or removed by two steps with their saves and prunings: all of these moments."""
    run(tmp_path / "begun", **bodies.LONG).go(reports=2)

    def killed(nth):
        folder = tmp_path / f"at-{nth}"
        shutil.copytree(tmp_path / "begun", folder)
        with child(bodies.train_until_the_nth_change, folder, nth, name=str(nth)) as trained:
            return folder, trained.ended(), trained.acknowledged()

    def attempt(nth):
        folder, code, acknowledged = killed(nth)
        assert code == -signal.SIGKILL
        last = [2, *acknowledged][-1]
        assert recovered(run, folder, reference) in (last, last + 1)
        shutil.rmtree(folder)

    _, code, (third, fourth, changes) = killed(10**6)
    assert (code, third, fourth) == (0, 3, 4)
    assert changes > 20, "the saves and prunings of two steps were not seen"
    attempted(range(1, changes + 1, every), attempt)


@one_in(4)
def test_killed_at_the_very_start(run, child, reference, attempted, tmp_path, every):
    """Before each of the first changes in an empty folder, when there is nothing to fall back to."""

    def attempt(nth):
        folder = tmp_path / f"at-{nth}"
        with child(bodies.train_until_the_nth_change, folder, nth, name=str(nth)) as trained:
            assert trained.ended() == -signal.SIGKILL
            acknowledged = ([0, *trained.acknowledged()])[-1]
        assert recovered(run, folder, reference) in (acknowledged, acknowledged + 1)

    attempted(range(1, 13, every), attempt)
