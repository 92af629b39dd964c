"""Losses and gradients that are not finite: one step is skipped; a row of them rolls the run back and stops it.

That a skipped step changes no parameter and no moment is tested in `tests/training/test_train_loop.py`.
"""

from __future__ import annotations

import itertools
import math
import os
import signal

import pytest
import torch

from sde_diffusion.cli import factories as build
from sde_diffusion.cli.main import main
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.training import load
from sde_diffusion.training.checkpoints.checkpoint import checkpoints
from tests.cli.conftest import TINY
from tests.faults.conftest import one_in, sentences

KINDS = ["nan", "inf", "gradient"]


class Spoilt:
    """The usual objective, spoilt at some steps, counted from `start`: its value, or its gradient alone."""

    def __init__(self, kind: str, steps, start: int = 0, interrupt: int = 0, like=None) -> None:
        self.like = like or DenoisingScoreMatching()
        self.kind, self.steps, self.step, self.interrupt = kind, set(steps), start, interrupt

    def fingerprint(self):
        """That of the usual objective, so that a run goes on without the fault."""
        return self.like

    def __call__(self, denoiser, sde, x0, generator, **condition):
        self.step += 1
        if self.step == self.interrupt:
            os.kill(os.getpid(), signal.SIGINT)
        losses = DenoisingScoreMatching()(denoiser, sde, x0, generator, **condition)
        if self.step not in self.steps:
            return losses
        if self.kind == "gradient":
            return losses + torch.sqrt(next(iter(denoiser.parameters())).sum() * 0)  # slope infinite times 0
        return losses * float(self.kind)


@pytest.fixture
def straight(run):
    """The weights of the run that was finite throughout."""
    whole = run()
    whole.go()
    return whole.weights()


CASES = [*itertools.product(KINDS, (1, 2, 4, 5), (1, 2, 4, 100))]


@one_in(5)
def test_a_row_rolls_the_run_back_and_stops_it(run, same, attempted, straight, tmp_path, is_sentence, every):
    """Three in a row, from each of several steps, with checkpoints of several distances.

    What is left, in memory and on the disk, is a checkpoint from before the row; when the fault is gone the run goes
    on from there to the weights of the run that never had it.
    """

    def attempt(case):
        kind, first, distance = case
        folder = tmp_path / "-".join(map(str, case))
        whole = run(folder, Spoilt(kind, range(first, first + 3)), max_consecutive_skips=3, checkpoint_every=distance)
        with pytest.raises(FloatingPointError, match="3 steps in a row") as caught:
            whole.go()
        assert is_sentence(caught.value)
        kept = checkpoints(folder / "checkpoints")
        before = [step for step in range(1, first) if step % distance == 0]
        assert list(kept) == before
        if kept:
            last = load(kept[before[-1]])
            assert f"rolled back to step-{last.step:06d}" in str(caught.value)
            assert same(dict(whole.denoiser.state_dict()), last.model)
            assert same(dict(whole.ema.model.state_dict()), last.ema)
        again = run(folder, max_consecutive_skips=3, checkpoint_every=distance)
        report = again.go()[-1]
        assert (report.step, report.skipped) == (9, 0)
        assert same(again.weights(), straight)

    attempted(CASES[::every], attempt)


def test_a_long_row_does_not_push_good_checkpoints_out(run, tmp_path):
    """With a checkpoint at every step and only two kept, ten bad steps leave both."""
    with pytest.raises(FloatingPointError, match="rolled back to step-000005"):
        run(
            tmp_path,
            Spoilt("nan", range(6, 100)),
            steps=30,
            max_consecutive_skips=10,
            checkpoint_every=1,
            max_checkpoints=2,
        ).go()
    assert list(checkpoints(tmp_path / "checkpoints")) == [4, 5]


def test_a_checkpoint_that_falls_due_in_a_row_is_saved_after_it(run, tmp_path):
    run(tmp_path, Spoilt("nan", [3, 4]), max_consecutive_skips=3, checkpoint_every=4).go()
    assert list(checkpoints(tmp_path / "checkpoints")) == [5, 8, 9]


def test_a_run_without_a_folder_keeps_its_parameters(run, same):
    whole = run(objective=Spoilt("nan", [4, 5, 6]), max_consecutive_skips=3)
    source = whole.reports()
    for _ in range(3):
        next(source)
    before = {name: p.clone() for name, p in whole.denoiser.named_parameters()}
    with pytest.raises(FloatingPointError, match="3 steps in a row by step 6"):
        list(source)
    assert same({name: p.detach() for name, p in whole.denoiser.named_parameters()}, before)


@pytest.mark.parametrize("forgotten", [False, True])
def test_a_row_goes_on_through_an_interruption(run, monkeypatch, tmp_path, forgotten):
    """Two bad steps, Ctrl-C, one more: three in a row. Without the counter of the row it would not be noticed."""
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Spoilt("nan", [4, 5], interrupt=5), max_consecutive_skips=3).go()
    (step,) = checkpoints(tmp_path / "checkpoints")
    assert step == 5
    assert load(tmp_path / "checkpoints/step-000005").state["metrics"][4] == 2
    again = run(tmp_path, Spoilt("nan", [6], start=5), max_consecutive_skips=3)
    if forgotten:
        from sde_diffusion.training.step import RunningMetrics

        taken = RunningMetrics.load
        monkeypatch.setattr(RunningMetrics, "load", lambda metrics, numbers: taken(metrics, [*numbers[:4], 0.0, 0.0]))
        assert math.isfinite(again.go()[-1].loss)
        return
    with pytest.raises(FloatingPointError, match="3 steps in a row by step 6"):
        again.go()


def test_the_command_ends_with_code_3(tmp_path, monkeypatch, capsys):
    """One sentence that says where it went back to; asked again without the fault, it goes on and ends with 0."""
    monkeypatch.chdir(tmp_path)
    usual = build.objective
    wanted = ["train", *TINY, "--training.max_consecutive_skips", "2", "--output", "run"]
    with monkeypatch.context() as patch:
        patch.setattr(build, "objective", lambda *given: Spoilt("nan", [6, 7], like=usual(*given)))
        assert main(wanted) == 3
    (said,) = sentences(capsys.readouterr().err)
    assert said.startswith("sde-diffusion: the loss or its gradient was not finite for 2 steps in a row")
    assert "rolled back to step-000004" in said
    assert main(wanted) == 0
