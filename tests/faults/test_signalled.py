"""SIGTERM and SIGINT: the step under way is finished and saved, and the exit code says which of them it was.

Batches are indexed from tensors by a stateless order, so there are no worker processes; the process group is that of
the command and of a helper that does not ignore the signal.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sde_diffusion.cli.main import main
from sde_diffusion.io.atomic import ASIDE
from sde_diffusion.training.checkpoints.checkpoint import latest
from sde_diffusion.training.signals import HungUp, Terminated, obey_first_signal
from tests.cli.conftest import TINY
from tests.faults import bodies
from tests.faults.apart import as_in_a_terminal
from tests.faults.conftest import ROOT

TERM, INT, HUP = signal.SIGTERM, signal.SIGINT, signal.SIGHUP
CODES = {TERM: 143, INT: 130, HUP: 129}
HOW = {TERM: "terminated", INT: "interrupted", HUP: "hung up"}


def last_line(number, step):
    """What the command says when it ends; the lines before it tell its progress."""
    return f"sde-diffusion: {HOW[number]}; saved at step {step}; the same command goes on from there"


LONG = [*TINY, "--training.steps", "100000", "--training.checkpoint_every", "100000", "--data.held_out", "1700"]

ONCE = {
    "once": [TERM],
    "twice": [TERM, TERM],
    "ctrl-c": [INT],
    "hang-up": [HUP],
    "ctrl-c twice": [INT, INT],
    "term then ctrl-c": [TERM, INT],
    "ctrl-c then term": [INT, TERM],
    "hang-up then term": [HUP, TERM],
    "ctrl-c then hang-up": [INT, HUP],
}

DAILY = ("once", "twice", "ctrl-c", "hang-up")


def weights(folder):
    newest = latest(folder / "checkpoints")
    return {**load_file(newest / "model.safetensors"), **load_file(newest / "ema.safetensors")}


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """The weights of the run that nobody stops."""
    folder = tmp_path_factory.mktemp("signalled") / "straight"
    assert main(["train", *TINY, "--output", str(folder)]) == 0
    return weights(folder)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("group", [False, True], ids=["process", "group"])
@pytest.mark.parametrize("when", ["step", "save"])
@pytest.mark.parametrize(
    "signals", [*DAILY, *(pytest.param(kind, marks=pytest.mark.slow) for kind in ONCE if kind not in DAILY)]
)
def test_a_signal_ends_the_command_in_good_order(child, same, straight, tmp_path, signals, when, group):
    """In the middle of step 6, and in the middle of the save of step 8; then the same command goes on to its end."""
    sent, step = ONCE[signals], {"step": 6, "save": 8}[when]
    wanted = ["train", *TINY, "--output", str(tmp_path / "run")]
    with child(bodies.command_that_signals_itself, wanted, when, sent, group) as command:
        code, said = command.ended(), command.words()
    assert code == CODES[sent[0]]
    assert said.splitlines()[-1] == last_line(sent[0], step)
    assert latest(tmp_path / "run/checkpoints").name == f"step-{step:06d}"
    assert not list((tmp_path / "run").rglob(ASIDE + "*"))
    assert main(wanted) == 0
    assert same(weights(tmp_path / "run"), straight)


@pytest.mark.parametrize("attempts", [6, pytest.param(60, marks=pytest.mark.weekly)])
def test_a_signal_at_any_moment(child, attempted, tmp_path, attempts):
    """From outside, between the first step and about the two hundredth, with a report of each: the last step is saved."""
    drawn = random.Random(4)

    def attempt(number):
        folder, sent = tmp_path / str(number), (TERM, INT)[number % 2]
        wanted = ["train", *LONG, "--training.log_every", "1", "--output", str(folder)]
        with child(bodies.command, wanted, name=str(number)) as command:
            wait_for_reports(folder)
            time.sleep(drawn.uniform(0, 0.2))
            for _ in range(1 + number % 3):
                command.signal(sent)
            code, said = command.ended(), command.words()
        steps = int(latest(folder / "checkpoints").name.removeprefix("step-"))
        assert (code, said.splitlines()[-1]) == (CODES[sent], last_line(sent, steps))
        reports = len((folder / "metrics.jsonl").read_bytes().splitlines())
        assert reports <= steps <= reports + 1
        assert not list(folder.rglob(ASIDE + "*"))
        shutil.rmtree(folder)

    attempted(range(attempts), attempt)


def wait_for_reports(folder):
    end = time.monotonic() + 60
    while not (folder / "metrics.jsonl").exists():
        assert time.monotonic() < end, "the command never reported"
        time.sleep(0.001)


@pytest.mark.slow
@pytest.mark.parametrize("number", [TERM, INT])
def test_the_real_command_in_its_group(tmp_path, number):
    """A new interpreter, and a helper in its process group; the signal goes to the group, as from a terminal."""
    code = f"from sde_diffusion.cli.main import main\nraise SystemExit(main({['train', *LONG, '--output', 'run']!r}))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    script = f'sleep 60 & exec {sys.executable} -c "$CODE" 2>words'
    process = subprocess.Popen(
        ["sh", "-c", script],
        env={**environment, "CODE": code},
        cwd=tmp_path,
        start_new_session=True,
        preexec_fn=as_in_a_terminal,
    )
    try:
        wait_for_reports(tmp_path / "run")
        os.killpg(process.pid, number)
        assert process.wait(timeout=60) == CODES[number]
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    newest = int(latest(tmp_path / "run/checkpoints").name.removeprefix("step-"))
    assert (tmp_path / "words").read_text().splitlines()[-1] == last_line(number, newest)


def test_outside_the_block_sigterm_is_what_it_was():
    assert signal.getsignal(TERM) == signal.SIG_DFL
    with pytest.raises(Terminated), obey_first_signal():
        signal.raise_signal(TERM)
    assert signal.getsignal(TERM) == signal.SIG_DFL


def test_a_hang_up_is_one():
    before = signal.signal(HUP, signal.SIG_DFL)  # a suite under nohup ignores it
    try:
        with pytest.raises(HungUp), obey_first_signal():
            signal.raise_signal(HUP)
        assert signal.getsignal(HUP) == signal.SIG_DFL
    finally:
        signal.signal(HUP, before)


def test_a_host_that_handles_sigterm_keeps_its_handler():
    seen = []
    before = signal.signal(TERM, lambda *arrival: seen.append(arrival))
    try:
        with obey_first_signal():
            signal.raise_signal(TERM)
        assert len(seen) == 1
    finally:
        signal.signal(TERM, before)


def test_a_hang_up_that_is_ignored_stays_so():
    """As under nohup."""
    before = signal.signal(HUP, signal.SIG_IGN)
    try:
        with obey_first_signal():
            signal.raise_signal(HUP)
        assert signal.getsignal(HUP) == signal.SIG_IGN
    finally:
        signal.signal(HUP, before)


def test_the_codes_are_documented():
    words = Path(ROOT / "docs/training-faults.md").read_text(encoding="utf-8")
    for code in (0, 1, 2, 3, 4, 129, 130, 143):
        assert f"| {code} |" in words


@pytest.mark.parametrize(
    ("number", "pause"),
    [(TERM, 0.005), *(pytest.param(*one, marks=pytest.mark.slow) for one in ((INT, 0.02), (HUP, 0.005)))],
    ids=["SIGTERM", "SIGINT", "SIGHUP"],
)
def test_signals_until_the_process_is_gone(tmp_path, number, pause):
    """A new interpreter that is signalled until it has ended: the code of the first one, one sentence, no traceback."""
    code = f"import sys\nfrom sde_diffusion.cli.main import main\nsys.argv[1:] = {['train', *LONG, '--output', 'run']!r}\nsys.exit(main())"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with open(tmp_path / "words", "w", encoding="utf-8") as words:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env=environment,
            cwd=tmp_path,
            stderr=words,
            stdout=words,
            preexec_fn=as_in_a_terminal,
        )
    try:
        wait_for_reports(tmp_path / "run")
        while process.poll() is None:
            process.send_signal(number)
            time.sleep(pause)
    finally:
        process.kill()
    said = (tmp_path / "words").read_text()
    assert process.returncode == CODES[number], said
    assert "Traceback" not in said
    assert said.splitlines()[-1].startswith(f"sde-diffusion: {HOW[number]}; saved at step")
