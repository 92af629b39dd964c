"""A run that was stopped anywhere and went on is, to the last bit, the run that was never stopped."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
import torch

from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.sde import VP
from sde_diffusion.training import load, train
from sde_diffusion.training.checkpoints.checkpoint import Checkpoint, checkpoints, save
from tests.training.conftest import STEPS
from tests.training.left_behind import contents


@pytest.fixture
def straight(run, tmp_path):
    """A run never stopped, reporting at every step, and what it left."""
    whole = run(tmp_path / "straight")
    whole.go()
    return whole


@pytest.mark.parametrize("k", range(1, STEPS))
def test_closed_after_any_step(run, same, straight, tmp_path, k):
    """Weights, average, optimizer, counters and the later losses; the border of two epochs lies inside step 3."""
    first = run(tmp_path / "stopped")
    assert len(first.go(reports=k)) == k
    assert not same(first.weights(), straight.weights())
    second = run(tmp_path / "stopped")
    assert [report.step for report in second.go()] == list(range(k + 1, STEPS + 1))
    assert same(second.weights(), straight.weights())
    assert same(contents(tmp_path / "stopped"), contents(tmp_path / "straight"))


@pytest.fixture
def every(run, tmp_path):
    """A run with a checkpoint at each step that reports each four steps: a checkpoint may fall between two reports."""
    run(tmp_path / "every", checkpoint_every=1, log_every=4).go()
    return tmp_path / "every"


def copied(source, target, k):
    """The folder of a run that was killed just after it had saved step k, with reports that went further."""
    shutil.copytree(source, target)
    for step, path in checkpoints(target / "checkpoints").items():
        if step > k:
            shutil.rmtree(path)
    return target


@pytest.mark.parametrize("k", range(1, STEPS))
def test_killed_after_any_save(run, same, every, tmp_path, k):
    folder = copied(every, tmp_path / "killed", k)
    with open(folder / "metrics.jsonl", "a", encoding="utf-8") as file:
        file.write('{"step": 9, "lo')  # a line that the kill cut short
    run(folder, checkpoint_every=1, log_every=4).go()
    assert same(contents(folder), contents(every))
    assert [report["step"] for report in contents(folder)["reports"]] == [4, 8, 9]


def zeroed(tensors):
    return {name: zeroed(value) if isinstance(value, dict) else value * 0 for name, value in tensors.items()}


FORGOTTEN = {
    "model": lambda c: {"model": zeroed(c.model)},
    "average": lambda c: {"ema": zeroed(c.ema)},
    "moments": lambda c: {"optimizer": zeroed(c.optimizer)},
    "averages counted": lambda c: {"state": c.state | {"averaged": 0}},
    "sums of the report": lambda c: {"state": c.state | {"metrics": [0.0] * 6}},
    "step": lambda c: {"step": c.step - 1},
}


@pytest.mark.parametrize("item", FORGOTTEN)
def test_each_item_is_needed(run, same, every, tmp_path, item):
    """What shows that the tests above can fail: a checkpoint without any one item leads elsewhere."""
    folder = copied(every, tmp_path / "poor", 6)
    path = checkpoints(folder / "checkpoints")[6]
    poor = Checkpoint(**(vars(load(path)) | FORGOTTEN[item](load(path))))
    shutil.rmtree(folder / "checkpoints")
    save(folder / "checkpoints", poor)
    run(folder, checkpoint_every=1, log_every=4).go()
    assert not same(contents(folder), contents(every))


@pytest.mark.parametrize("k", [0, 3, STEPS - 1])
def test_an_interrupt_in_the_middle_of_a_step_waits_for_its_end(run, same, straight, tmp_path, k):
    seen = []

    def interrupted(*args, **condition):
        if len(seen) == k:
            os.kill(os.getpid(), signal.SIGINT)
        seen.append(k)
        return DenoisingScoreMatching()(*args, **condition)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "stopped", interrupted, log_every=5).go()
    assert signal.getsignal(signal.SIGINT) is before
    assert len(seen) == k + 1
    assert list(checkpoints(tmp_path / "stopped/checkpoints")) == [k + 1]
    second = run(tmp_path / "stopped", log_every=5)
    second.go()
    assert same(second.weights(), straight.weights())


def test_an_error_in_the_middle_of_a_step_saves_nothing_of_it(run, same, straight, tmp_path):
    calls = []

    def failing(*args, **condition):
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("out of memory")
        return DenoisingScoreMatching()(*args, **condition)

    with pytest.raises(RuntimeError, match="out of memory"):
        run(tmp_path / "stopped", failing, checkpoint_every=2).go()
    assert list(checkpoints(tmp_path / "stopped/checkpoints")) == [2]
    second = run(tmp_path / "stopped", checkpoint_every=2)
    second.go()
    assert same(second.weights(), straight.weights())


def test_a_finished_run_is_not_trained_further(run, same, straight, tmp_path):
    again = run(tmp_path / "straight")
    assert again.go() == []
    assert same(again.weights(), straight.weights())


def test_the_callers_global_generator_decides_nothing_and_is_left_alone(run, same, straight, tmp_path):
    other = run(tmp_path / "other")
    torch.manual_seed(12345)
    before = torch.get_rng_state()
    other.go()
    assert torch.equal(torch.get_rng_state(), before)
    assert same(other.weights(), straight.weights())


def test_another_seed_is_another_run(run, same, straight, tmp_path):
    other = run(tmp_path / "other", seed=1)
    other.go()
    assert not same(other.weights(), straight.weights())


CHANGES = {
    "learning_rate": {"learning_rate": 2e-2},
    "seed": {"seed": 1},
    "batch_size": {"batch_size": 2},
}


@pytest.mark.parametrize("change", CHANGES)
def test_going_on_otherwise_is_refused(run, straight, tmp_path, is_sentence, change):
    with pytest.raises(ValueError, match=f"another run: {change}") as caught:
        run(tmp_path / "straight", **CHANGES[change]).go()
    assert is_sentence(caught.value)


def test_going_on_with_other_data_is_refused(run, straight, tmp_path):
    other = run(tmp_path / "straight")
    other.data = other.data.clone()
    other.data[3, 1] += 1e-3
    with pytest.raises(ValueError, match="another run: data"):
        other.go()
    other = run(tmp_path / "straight")
    other.labels = other.labels.flip(0)
    with pytest.raises(ValueError, match="another run: labels"):
        other.go()


def test_what_decides_nothing_may_change(run, same, straight, tmp_path):
    run(tmp_path / "stopped").go(reports=4)
    second = run(tmp_path / "stopped", checkpoint_every=1, log_every=3, max_checkpoints=2, max_consecutive_skips=3)
    second.go()
    assert same(second.weights(), straight.weights())
    assert list(checkpoints(tmp_path / "stopped/checkpoints")) == [STEPS - 1, STEPS]


def test_without_resume_a_used_folder_is_refused(run, straight, tmp_path, is_sentence):
    again = run()
    with pytest.raises(FileExistsError, match="holds checkpoints") as caught:
        list(train(again.denoiser, VP(), again.data, again.settings, folder=tmp_path / "straight", resume=False))
    assert is_sentence(caught.value)
