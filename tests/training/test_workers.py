"""Worker processes read what the training process would: the same bits for any number of them, and none is left."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sde_diffusion.cli.exit_codes import exit_code
from sde_diffusion.data.base import DataSource
from sde_diffusion.data.tables import table_of
from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, train
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from sde_diffusion.training.errors import explain_lost_worker
from sde_diffusion.training.reading import Workers
from tests.training.conftest import Run

X = torch.randn(10, 2, generator=torch.Generator().manual_seed(5))


@dataclasses.dataclass(frozen=True)
class Files(DataSource):
    """X as if it lay in files, one of which may be found damaged by a worker."""

    classes = 3
    damaged: int = -1

    @property
    def event_shape(self):
        return (2,)

    def size(self, split="train"):
        return len(X)

    def batch(self, indices, split="train"):
        if self.damaged in indices.tolist() and torch.utils.data.get_worker_info() is not None:
            raise ValueError(f"'{self.damaged}.png' cannot be read as a picture (cut short); remove or replace it")
        return X[indices], indices % 3


class FromFiles(Run):
    """The run of `conftest`, dropout and dropped labels included, with workers."""

    def __init__(self, folder=None, workers=0, source=None, **changes):
        super().__init__(folder, **changes)
        self.workers, self.source = workers, source or Files()

    def reports(self):
        return train(
            self.denoiser, VP(), self.source, self.settings, labels=True, folder=self.folder, ema=self.ema,
            compute=ComputeSettings(workers=self.workers),
        )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def forked():
    """Workers begin in milliseconds, whatever started this process."""
    before = multiprocessing.get_start_method(allow_none=True)
    multiprocessing.set_start_method("fork", force=True)
    yield
    multiprocessing.set_start_method(before, force=True)


@pytest.fixture(scope="module")
def alone():
    """Reports and weights of the run that reads its own data."""
    run = FromFiles()
    return run.go(), run.weights()


@pytest.fixture
def no_child_left(monkeypatch):
    """No worker is left at the end, though whatever started them is still there."""
    kept, started = [], Workers._started
    monkeypatch.setattr(Workers, "_started", lambda self, number: kept.append(self) or started(self, number))
    yield
    assert kept
    assert multiprocessing.active_children() == []


def children(process: int) -> set[int]:
    return set(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))


def test_tensors_and_files_are_one_run(alone, same):
    run = Run()
    assert (run.go(), True) == (alone[0], same(run.weights(), alone[1]))


@pytest.mark.usefixtures("no_child_left")
@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_no_bit(alone, same, workers):
    run = FromFiles(workers=workers)
    assert (run.go(), True) == (alone[0], same(run.weights(), alone[1]))


def test_a_run_that_is_left_early_closes_its_reader(monkeypatch):
    kept, started = [], Workers._started
    monkeypatch.setattr(Workers, "_started", lambda self, number: kept.append(self) or started(self, number))
    FromFiles(workers=1).go(2)
    assert [(reader.answers, reader.end) for reader in kept] == [(None, None)]


@pytest.mark.usefixtures("no_child_left")
@pytest.mark.parametrize(("before", "after"), [(2, 0), (0, 1)])
def test_a_run_goes_on_with_other_workers(tmp_path, alone, same, before, after):
    first = FromFiles(tmp_path, before).go(4)
    run = FromFiles(tmp_path, after)
    assert first + run.go() == alone[0]
    assert same(run.weights(), alone[1])


@pytest.mark.usefixtures("no_child_left")
def test_an_error_of_a_worker_is_the_error_and_names_the_file(tmp_path, is_sentence):
    run = FromFiles(tmp_path, 1, Files(damaged=7))
    with pytest.raises(ValueError, match=r"^'7\.png' cannot be read") as caught:
        run.go()
    assert is_sentence(caught.value)


@pytest.mark.usefixtures("no_child_left")
@pytest.mark.parametrize("step", [1, 2, 4])
def test_a_killed_worker_ends_the_run_which_then_goes_on(tmp_path, same, is_sentence, step):
    """As by a system that is short of memory. The reports are those of the run that reads its own data."""
    with pytest.raises(
        (ChildProcessError, RuntimeError), match="DataLoader worker"
    ) as caught:  # in a step, or between them
        killed_at(FromFiles(tmp_path, 1, checkpoint_every=1, steps=40, log_every=1), step)
    assert is_sentence(caught.value)
    assert exit_code(caught.value) == 2
    first = FromFiles(tmp_path, 1, checkpoint_every=1, steps=40, log_every=1)
    assert step <= (done := max(checkpoints(tmp_path / "checkpoints"))) < 40
    reports = first.go()
    whole = FromFiles(steps=40, log_every=1)
    assert reports == whole.go()[done:]
    assert same(first.weights(), whole.weights())


def killed_at(run: FromFiles, step: int) -> None:
    """Go on until the loss of a worker is noticed."""
    for report in run.reports():
        if report.step >= step:
            for worker in multiprocessing.active_children():
                worker.kill()
            time.sleep(0.05)


@pytest.mark.parametrize(
    "error", [ConnectionResetError(104, "reset"), EOFError(), RuntimeError("DataLoader worker (pid 1) is killed")]
)
def test_a_pipe_that_breaks_is_a_lost_worker(error):
    """What is at the other end of it when a process is killed, as chance has it; other errors stay what they are."""

    def broken():
        raise error
        yield

    read = Workers(abs, 1, answers=broken(), expected=3)
    with (
        pytest.raises(ChildProcessError, match=r"that reads the data has ended .*lower workers \(1\)"),
        explain_lost_worker(1),
    ):
        read(3)
    with pytest.raises(RuntimeError, match=r"^another$"), explain_lost_worker(1):
        raise RuntimeError("another")


def test_an_error_that_cannot_travel_is_words():
    class Own(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    def fetch(number):
        raise Own("this", "that")

    read = Workers(fetch, 1)
    with pytest.raises(RuntimeError, match=r"^Own: this and that$"):
        read(3)
    read.close()


@pytest.mark.usefixtures("no_child_left")
def test_a_reader_begins_anywhere():
    """Out of turn, backwards, and once more after it was closed."""
    plain = Batches(table_of(Files(), labels=True), 0.0, 3, 4, torch.device("cpu"), torch.float32, 2, 2)
    read = dataclasses.replace(plain, workers=2)
    for step in (3, 4, 0):
        one, other = (batches.at(step, torch.Generator(), 1) for batches in (plain, read))
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.condition["label"], other.condition["label"])
    read.close()
    assert torch.equal(read.at(1, torch.Generator(), 1).x, plain.at(1, torch.Generator(), 1).x)
    read.close()


def test_tables_in_memory_need_no_workers():
    batches = Batches(table_of(X), 0.0, 3, 4, torch.device("cpu"), torch.float32, workers=4)
    assert batches._read == batches._rows


@pytest.mark.slow
def test_a_program_ends_though_its_reader_was_left_open():
    """Workers ignore SIGTERM, by which the interpreter ends what is left at its exit."""
    script = "from operator import neg; from sde_diffusion.training.reading import Workers; w = Workers(neg, 1); w(3)"
    assert subprocess.run([sys.executable, "-c", script], timeout=60, cwd=Path(__file__).parents[2]).returncode == 0


SCRIPT = """
import sys, time, torch
from tests.training.test_workers import FromFiles, Files
from sde_diffusion.training.signals import obey_first_signal
class Slow(Files):
    def batch(self, indices, split="train"):
        time.sleep(0.02)
        return super().batch(indices, split)
with obey_first_signal():
    for report in FromFiles(sys.argv[1], 2, Slow(), steps=10_000, log_every=1).reports():
        print(report.step, flush=True)
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_workers_end_with_a_run_that_a_signal_to_its_group_ends(tmp_path, number):
    """They say nothing; a run that can saves the step it was in."""
    command = [sys.executable, "-c", SCRIPT, str(tmp_path)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert process.stdout is not None
    for _ in range(5):
        step = int(process.stdout.readline())
    assert step == 5
    below = children(process.pid)
    assert len(below) >= 2
    if number == signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, number)
    said = process.communicate(timeout=30)[1]
    deadline = time.monotonic() + 15
    while any(Path(f"/proc/{one}").exists() for one in below) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [one for one in below if Path(f"/proc/{one}").exists()]
    assert "orker" not in said
    if number != signal.SIGKILL:
        assert max(checkpoints(tmp_path / "checkpoints")) >= 5


@pytest.mark.parametrize("wrong", [-1, 1.5, True])
def test_a_number_of_workers_is_whole(wrong):
    with pytest.raises(ValueError, match="workers is a whole number from 0"):
        ComputeSettings(workers=wrong)
