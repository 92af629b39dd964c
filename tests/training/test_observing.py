"""Callbacks see the averaged model at their triggers and change nothing; their errors cost no run."""

from __future__ import annotations

import dataclasses
import io
import os
import re
import select
import signal
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.sde import VP
from sde_diffusion.training import (
    Callback,
    Doubling,
    Every,
    ProcessGroup,
    TrainSettings,
    fit,
)
from sde_diffusion.training.callbacks import CallbackList, previous_report
from sde_diffusion.training.checkpoints.checkpoint import checkpoints, load
from sde_diffusion.training.fitting import Bar
from sde_diffusion.training.metrics import Progress

NAME = "held_out_loss"


class Recorder(Callback):
    """Remembers when it looked and at what; does what it is told on the way."""

    def __init__(self, trigger=None, act=None, number: float | None = None) -> None:
        self.trigger, self.act, self.number = trigger or Every(1), act, number
        self.steps, self.weights, self.closed, self.lasts = [], [], 0, []

    def on_report(self, context):
        self.steps.append(context.step)
        self.lasts.append(context.last)
        self.weights.append({name: value.clone() for name, value in context.model.state_dict().items()})
        if self.number is not None:
            context.numbers[NAME] = self.number + context.step
        if self.act is not None:
            self.act(context)

    def close(self):
        self.closed += 1


def fitted(whole, *observers, **changes):
    """The run of the tests, to its end, under observers."""
    more = {"labels": whole.labels, "folder": whole.folder, "ema": whole.ema, **changes}
    return fit(whole.denoiser, VP(), whole.data, whole.settings, callbacks=observers, **more)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 500))
def test_moments_are_a_function_of_the_step(first, log_every, steps):
    """Each moment, multiples or doublings, is met by exactly one report, the first at or after it."""
    reports = [step for step in range(1, steps + 1) if step % log_every == 0 or step == steps]
    listed = {Every(first): range(first, steps + 1, first), Doubling(first): [first << k for k in range(12)]}
    for moments, wanted in listed.items():
        due = [step for step in reports if moments.within(previous_report(step, log_every), step)]
        expected = sorted({min(r for r in reports if r >= moment) for moment in wanted if moment <= steps})
        assert due == expected


@pytest.mark.parametrize("wrong", [0, -3, 2.0, True])
def test_moments_refuse_what_is_no_distance(wrong, is_sentence):
    for kind in (Every, Doubling):
        with pytest.raises(ValueError, match="whole number of steps") as caught:
            kind(wrong)
        assert is_sentence(caught.value)


def spoil(context):
    """What an observer had better not do: draw from everywhere, leave gradients on, compute a gradient."""
    torch.rand(3)  # from the global generator
    torch.manual_seed(99)
    x = torch.zeros(2, 2, requires_grad=True)
    context.model(x, VP().kernel(0.5)).sum().backward()


@pytest.mark.global_rng
@pytest.mark.parametrize("log_every", [1, 4])
def test_the_run_is_the_same_to_the_last_bit(run, same, tmp_path, log_every):
    """Weights, average, reports, checkpoints and the caller's generator, under observers that draw and differentiate."""
    plain, watched = (run(tmp_path / name, log_every=log_every) for name in ("plain", "watched"))
    fitted(plain)
    torch.manual_seed(3)
    expected, seen = torch.rand(2), Recorder(act=spoil, number=1.0)
    torch.manual_seed(3)
    model = fitted(watched, seen, Recorder(Doubling(2), spoil))
    assert torch.equal(torch.rand(2), expected)
    assert same(watched.weights(), plain.weights())
    assert model is watched.ema.model
    one, other = (load(checkpoints(tmp_path / name / "checkpoints")[9]) for name in ("plain", "watched"))
    assert same(dataclasses.asdict(one), dataclasses.asdict(other))
    lines = [metrics_file.read(tmp_path / name / "metrics.jsonl") for name in ("plain", "watched")]
    kept = [[{**line, "images_per_second": 0} for line in part if "loss" in line] for part in lines]
    assert kept[0] == kept[1]
    assert seen.steps == [line["step"] for line in kept[0]]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_what_is_shown_is_the_average_of_the_step_in_eval_mode(run, same):
    whole, modes = run(), []

    def look_closely(context):
        modes.append(
            (context.model.training, whole.denoiser.training, any(p.requires_grad for p in context.model.parameters()))
        )

    seen = Recorder(act=look_closely)
    fitted(whole, seen)
    assert modes == [(False, True, False)] * 9
    assert seen.lasts == [False] * 8 + [True]
    assert seen.closed == 1
    for reports in (3, 7):
        other = run()
        other.go(reports=reports)
        assert same(seen.weights[reports - 1], dict(other.ema.model.state_dict()))


def test_numbers_are_lines_of_their_own(run, tmp_path):
    fitted(run(tmp_path), Recorder(Every(4), number=0.5), Recorder(Every(2)))
    lines = metrics_file.read(tmp_path / "metrics.jsonl")
    assert [line for line in lines if NAME in line] == [{"step": step, NAME: 0.5 + step} for step in (4, 8, 9)]
    assert [line["step"] for line in lines if "loss" in line] == list(range(1, 10))
    fitted(run(), Recorder(number=1.0))  # without a folder nothing is written


def test_a_resumed_run_looks_where_a_whole_one_does(run, tmp_path):
    """Left after 5 reports: the moments are those of an undisturbed run, and no line is there twice."""
    halted, first, second = (
        run(tmp_path, checkpoint_every=3),
        Recorder(Every(2), number=0.0),
        Recorder(Every(2), number=0.0),
    )

    def stop(context):
        if context.step == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(halted, first, Recorder(act=stop))
    fitted(run(tmp_path, checkpoint_every=3), second)
    assert first.steps + second.steps == [2, 4, 6, 8, 9]
    assert first.closed == second.closed == 1
    held_out = [line["step"] for line in metrics_file.read(tmp_path / "metrics.jsonl") if NAME in line]
    assert held_out == [2, 4, 8, 9]  # the look at 6 was interrupted before its numbers were kept


def test_lines_of_both_kinds_are_cut_where_a_run_resumes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2, 3):
        metrics_file.append(path, {"step": step, "loss": 1.0})
        metrics_file.append(path, {"step": step, NAME: 2.0})
    metrics_file.truncate_after(path, 2)
    assert [(line["step"], NAME in line) for line in metrics_file.read(path)] == [
        (1, False),
        (1, True),
        (2, False),
        (2, True),
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_of_a_look_leaves_the_step_saved(run, same, tmp_path, number):
    """As anywhere: the step is saved, the signal's handler has its way, and the run goes on to the same weights."""
    whole, straight = run(tmp_path), run()
    straight.go()

    def strike(context):
        if context.step == 5:
            os.kill(os.getpid(), number)

    def end(*_):
        raise KeyboardInterrupt

    before = signal.signal(number, end)
    try:
        with pytest.raises(KeyboardInterrupt):
            fitted(whole, Recorder(act=strike))
    finally:
        signal.signal(number, before)
    assert list(checkpoints(tmp_path / "checkpoints")) == [5]
    assert all(parameter.requires_grad for parameter in whole.ema.model.parameters())
    again = run(tmp_path)
    fitted(again, Recorder())
    assert same(again.weights(), straight.weights())


def test_an_error_is_one_warning_and_costs_nothing(run, same, tmp_path):
    """A full disk at some looks: the run, and the other observers, go on; the failing one is asked again."""
    whole, straight, after = run(tmp_path), run(), Recorder()
    straight.go()

    def full(context):
        if context.step in (3, 4, 9):
            raise OSError(28, "No space left on device")

    failing = Recorder(act=full, number=0.0)
    with pytest.warns(UserWarning, match="Recorder failed at step 3") as caught:
        fitted(whole, failing, after)
    assert len(caught) == 1
    assert "No space left" in str(caught[0].message)
    assert "\n" not in str(caught[0].message)
    assert failing.steps == after.steps == list(range(1, 10))
    assert same(whole.weights(), straight.weights())


def test_an_error_at_the_close_is_a_warning(run):
    class Stuck(Recorder):
        def close(self):
            raise OSError("stuck")

    with pytest.warns(UserWarning, match="Stuck failed"):
        fitted(run(), Stuck())


def test_numbers_that_cannot_be_written_are_a_warning(run, tmp_path, monkeypatch):
    append = metrics_file.append

    def refuse(path, record):
        if NAME in record:
            raise OSError(28, "No space left on device", str(path))
        append(path, record)

    monkeypatch.setattr(metrics_file, "append", refuse)
    with pytest.warns(UserWarning, match="metrics.jsonl failed at step 1"):
        fitted(run(tmp_path), Recorder(number=0.0))


def test_only_the_leading_process_looks(run):
    """A world of one that follows: asked nothing, told nothing."""
    whole, seen = run(), Recorder(number=1.0)
    watch = CallbackList([seen], whole.ema, whole.settings)
    watch.world = ProcessGroup(rank=1)
    progress = Progress(9, 1.0, 1.0, 1e-3, 5.0, 0)
    assert watch.on_report(progress) == {}
    watch.close()
    assert seen.steps == []
    assert seen.closed == 0
    watch.world = ProcessGroup()
    assert watch.on_report(progress) == {NAME: 10.0}


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    """Makes the standard error a terminal of 120 columns, when it is called within the test."""

    def open_one() -> Terminal:
        monkeypatch.setenv("COLUMNS", "120")
        monkeypatch.setattr(sys, "stderr", Terminal())
        return sys.stderr

    return open_one


def test_the_bar_says_loss_pace_and_time_left(run, terminal):
    whole, screen = run(), terminal()
    fitted(whole, Recorder(Every(4), number=0.25))
    last = screen.getvalue().split("\r")[-1]
    shape = r"100%.*9/9 \[\d\d:\d\d<\d\d:\d\d, .*loss=[\d.e+-]+, held out=9\.25, [\d.]+[kMG]? samples/s\]"
    assert re.search(shape, last), last


def test_the_bar_of_a_resumed_run_begins_where_it_was(terminal):
    """From step 900 of 1000, with a report of 50 steps after 10 s: 50 more take 10 s, and not none."""
    screen = terminal()
    bar = Bar(TrainSettings(steps=1000, log_every=50))
    bar.bar.start_t = bar.bar.last_print_t = bar.bar._time() - 10
    bar.show(Progress(950, 0.5, 1.0, 1e-3, 12_345.0, 0), {})
    shown = screen.getvalue().split("\r")[-1]
    bar.close()
    assert "950/1000" in shown
    assert "[00:10<00:10, " in shown
    assert "12.3k samples/s" in shown


def everything(handle: int) -> str:
    """What was written to a terminal, which may arrive in pieces."""
    pieces = []
    while select.select([handle], [], [], 0.5)[0]:
        pieces.append(os.read(handle, 10_000))
    return b"".join(pieces).decode()


@pytest.mark.skipif(os.name != "posix", reason="pseudo-terminals are of POSIX")
@pytest.mark.parametrize(("columns", "width"), [(120, 119), (70, 69), (0, 100)])
def test_the_bar_fits_a_real_terminal(columns, width, monkeypatch):
    """Of any width, and of none, where a bar that asks for it would draw nothing."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40 if columns else 0, columns, 0, 0))
    with open(theirs, "w", encoding="utf-8") as screen:
        monkeypatch.setattr(sys, "stderr", screen)
        bar = Bar(TrainSettings(steps=1000, log_every=50))
        bar.bar.last_print_t -= 10
        bar.show(Progress(950, 0.5, 1.0, 1e-3, 12_345.0, 0), {NAME: 0.25})
        bar.close()
        screen.flush()
        shown = everything(ours).strip().split("\r")[-1]
    os.close(ours)
    assert "950/1000" in shown
    assert len(shown) <= width
    if columns != 70:
        assert shown.endswith("loss=0.5, held out=0.25, 12.3k samples/s]")


def test_off_a_terminal_a_line_for_each_tenth_and_none_in_the_other_processes(run, terminal, monkeypatch):
    screen = terminal()
    silent = Bar(TrainSettings(steps=10), speaks=False)
    silent.show(Progress(10, 0.5, 1.0, 1e-3, 5.0, 0), {})
    silent.close()
    assert screen.getvalue() == ""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    fitted(run())  # 9 steps with a report each: step 1 is 11%, step 9 the last
    lines = sys.stderr.getvalue().splitlines()
    assert [
        re.match(r"step (\d) of 9 \((\d+)%\), loss=\S+, \S+ samples/s, \d\d:\d\d left$", line).groups()
        for line in lines
    ] == [(str(step), str(100 * step // 9)) for step in range(1, 10)]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    fitted(run(steps=400, log_every=1))
    assert len(sys.stderr.getvalue().splitlines()) == 10


def test_the_lines_of_a_resumed_run_count_the_time_from_where_it_was(monkeypatch):
    """From step 900 of 1000: 50 steps in 10 s, so that 50 more take 10 s."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    bar = Bar(TrainSettings(steps=1000, log_every=50))
    bar._begin(900)
    bar.lines.begun -= 10
    bar.show(Progress(1000, 0.5, 1.0, 1e-3, 12_345.0, 0), {NAME: 0.25})
    assert sys.stderr.getvalue() == "step 1000 of 1000 (100%), loss=0.5, held out=0.25, 12.3k samples/s, 00:00 left\n"
