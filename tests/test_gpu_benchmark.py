"""`python -m benchmarks.gpu` keeps its budget, its order and what it has found, whatever its stages do.

The stages here are programs of a few lines that keep records as the real ones do. Time is that of the wall.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
import torch

import benchmarks.gpu.__main__ as command
from benchmarks.gpu import child, runner
from benchmarks.gpu.record import DONE, Record, read
from benchmarks.gpu.runner import Runner
from benchmarks.gpu.stage import AGAIN, STAGES, Job, Part, Stage

ROOT = Path(__file__).resolve().parents[1]
BEGIN = """
import os, signal, subprocess, sys, time
from pathlib import Path
from benchmarks.gpu.record import Record
from benchmarks.gpu.process import end_with_the_parent
name, folder, until = sys.argv[1], Path(sys.argv[3]), float(sys.argv[5])
record = Record(folder / f"{name}.json")
record.figure("began", time.time())
record.part("first", "done")
"""
FINE = "record.figure('ended', time.time())"
HANGS = """
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
    signal.signal(number, signal.SIG_IGN)
record.part("second", "begun")
record.figure("other", subprocess.Popen([sys.executable, "-c", "import time; time.sleep(100)"]).pid)
time.sleep(100)
"""


def stage(name: str, body: str, seconds: float = 1) -> Stage:
    return Stage(name, name.capitalize(), seconds, ("-c", BEGIN + body))


@pytest.fixture
def hurried(monkeypatch):
    """The runner's pauses, short."""
    monkeypatch.setattr(runner, "GRACE", 0.2)
    monkeypatch.setattr(runner, "RESERVE", 0.0)
    monkeypatch.setattr(runner, "LEAST", 0.05)


def run(folder: Path, budget: float, *stages: Stage) -> list[list[str]]:
    """The names of the stages with a state, each time that results were written."""
    seen: list[list[str]] = []

    def written() -> None:
        seen.append([stage.name for stage in stages if (folder / f"{stage.name}.state.json").exists()])

    Runner(stages, budget, folder, [], written).run()
    return seen


def said(folder: Path, name: str) -> str:
    return read(folder / f"{name}.state.json")["said"]


def gone(pid: int) -> bool:
    """Whether a process has ended; one that nobody has waited for yet counts."""
    for _ in range(50):
        status = Path(f"/proc/{pid}/stat")
        if not status.exists() or status.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return True
        time.sleep(0.1)
    return False


# The runner.


def test_stages_run_in_their_order_and_results_are_written_after_each(tmp_path, hurried):
    seen = run(tmp_path, 60, *(stage(name, FINE) for name in "abc"))
    assert seen == [["a"], ["a", "b"], ["a", "b", "c"]]
    figures = [read(tmp_path / f"{name}.json")["figures"] for name in "abc"]
    assert figures[0]["ended"] <= figures[1]["began"] < figures[1]["ended"] <= figures[2]["began"]
    assert [said(tmp_path, name) for name in "abc"] == ["", "", ""]


FAILURES = {
    "raise ValueError('the 3rd number is odd')": "its process ended with 1: ValueError: the 3rd number is odd",
    "sys.exit('no memory')": "its process ended with 1: no memory",
    "os.kill(os.getpid(), signal.SIGSEGV)": "its process was ended by SIGSEGV",
    "os._exit(9)": "its process ended with 9",
}


@pytest.mark.parametrize("body", FAILURES)
def test_a_stage_that_fails_leaves_a_sentence_and_the_next_goes_on(tmp_path, hurried, body):
    run(tmp_path, 60, stage("bad", body), stage("good", FINE))
    assert said(tmp_path, "bad") == FAILURES[body]
    assert read(tmp_path / "bad.json")["parts"] == {"first": "done"}, "what it had found is lost"
    assert "ended" in read(tmp_path / "good.json")["figures"]


def test_a_program_that_is_not_there_leaves_a_sentence(tmp_path, hurried):
    run(tmp_path, 60, Stage("none", "None", 1, ("-m", "benchmarks.gpu.no_such")), stage("good", FINE))
    assert "No module named benchmarks.gpu.no_such" in said(tmp_path, "none")
    assert "ended" in read(tmp_path / "good.json")["figures"]


def test_the_budget_is_kept_by_a_stage_that_hangs_and_ignores_signals(tmp_path, hurried):
    began = time.time()
    run(tmp_path, 6, stage("slow", HANGS), stage("good", FINE))
    assert time.time() - began < 6 + 1
    found = read(tmp_path / "slow.json")
    assert found["parts"] == {
        "first": "done",
        "second": "its process was ended by SIGKILL: it was still there after its time",
    }
    assert gone(int(found["figures"]["other"])), "a process that the stage started is still there"
    assert "ended" in read(tmp_path / "good.json")["figures"], "the other stage has lost its share"


def test_time_that_is_left_over_goes_to_the_later_stages(tmp_path, hurried):
    run(tmp_path, 50, stage("quick", FINE), stage("second", "record.figure('share', until - time.time())"))
    assert read(tmp_path / "second.json")["figures"]["share"] > 40


def test_a_stage_for_which_no_time_is_left_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "LEAST", 1000.0)
    run(tmp_path, 30, stage("late", FINE))
    assert said(tmp_path, "late") == "not run: no time was left"
    assert not (tmp_path / "late.json").exists()


def test_a_process_that_dies_is_followed_by_one_for_the_other_parts(tmp_path, hurried):
    body = """
for part in ("a", "b", "c"):
    if part not in record.found["parts"]:
        record.part(part, "begun")
        if part == "b":
            os.kill(os.getpid(), signal.SIGSEGV)
        record.part(part, "done")
"""
    run(tmp_path, 60, stage("broken", body))
    state = read(tmp_path / "broken.json")["parts"]
    assert state == {"first": "done", "a": "done", "b": "its process was ended by SIGSEGV", "c": "done"}
    assert said(tmp_path, "broken") == ""


def test_a_page_that_cannot_be_written_stops_no_stage(tmp_path, hurried, capsys):
    def written() -> None:
        raise OSError("the disk is full")

    Runner([stage("a", FINE), stage("b", FINE)], 60, tmp_path, [], written).run()
    assert all("ended" in read(tmp_path / f"{name}.json")["figures"] for name in "ab")
    assert capsys.readouterr().err.count("the page was not written: the disk is full") == 2


def test_results_of_an_earlier_run_are_not_those_of_this_one(tmp_path, hurried):
    run(tmp_path, 60, stage("a", "record.figure('old', 1)"))
    run(tmp_path, 60, stage("a", FINE))
    assert "old" not in read(tmp_path / "a.json")["figures"]


# The whole command, stopped.

COMMAND = """
import sys
import benchmarks.gpu.__main__ as command
from benchmarks.gpu.stage import Stage
command.STAGES = tuple(Stage(name, name, 1, ("-c", body)) for name, body in {stages})
sys.exit(command.main(["--device", "cpu", "--output", sys.argv[1], "--budget", "100"]))
"""
WAITS = "end_with_the_parent()\nrecord.figure('pid', os.getpid())\nrecord.part('waiting', 'begun')\ntime.sleep(60)\n"


def stopped_in(tmp_path: Path, at: int, number: signal.Signals) -> tuple[int, str]:
    """The exit code of a run of three stages that is stopped in one of them, and its page."""
    bodies = [(name, BEGIN + (WAITS if place == at else FINE)) for place, name in enumerate("abc")]
    code = COMMAND.replace("{stages}", repr(bodies))
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.DEVNULL)
    waiting = tmp_path / "records" / f"{'abc'[at]}.json"
    for _ in range(300):
        if "pid" in read(waiting).get("figures", {}) and "waiting" in read(waiting)["parts"]:
            break
        time.sleep(0.1)
    process.send_signal(number)
    returned = process.wait(20)
    assert gone(int(read(waiting)["figures"]["pid"])), "the stage has outlived the run"
    return returned, (tmp_path / "gpu.md").read_text() if (tmp_path / "gpu.md").exists() else ""


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_kill_at_any_stage_keeps_what_was_found(tmp_path, at):
    returned, text = stopped_in(tmp_path, at, signal.SIGKILL)
    assert returned == -signal.SIGKILL
    for place, name in enumerate("abc"):
        figures = read(tmp_path / "records" / f"{name}.json").get("figures", {})
        assert ("ended" in figures) == (place < at), "only what ran before is complete"
        assert ("began" in figures) == (place <= at), "what was under way keeps what it had"
        assert (f"\n## {name}\n\nNot measured." in text) == (bool(text) and place >= at)
    if at:
        assert set(json.loads((tmp_path / "gpu.json").read_text())) == set("abc"[:at])


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stop_writes_what_there_is(tmp_path, number, code):
    returned, text = stopped_in(tmp_path, 1, number)
    assert returned == code
    assert set(json.loads((tmp_path / "gpu.json").read_text())) == {"a", "b"}
    assert "the run was stopped here by" in text
    assert "- waiting: begun" in text


def test_a_device_that_is_not_there_is_refused_and_changes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        command.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 1, "", "x\nno driver\n")
    )
    with pytest.raises(SystemExit) as end:
        command.main(["--output", str(tmp_path / "out")])
    assert "torch cannot compute on cuda (no driver); take a machine with a GPU" in str(end.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "words"),
    [("--budget 5", "at least 20"), ("--device gpu", "cuda, cuda:1 or cpu"), ("--only x", "choose from")],
)
def test_a_wrong_argument_is_refused(given, words, capsys):
    with pytest.raises(SystemExit):
        command.main(given.split())
    assert words in capsys.readouterr().err


# The process of a stage.


def job(tmp_path: Path, seconds: float = 100, quick: bool = False) -> Job:
    return Job(torch.device("cpu"), quick, tmp_path, time.time() + seconds)


def parts(*, breaks: str = "") -> list[Part]:
    def measured(name: str):
        def run(job: Job, record: Record) -> None:
            if name == breaks:
                raise ArithmeticError(f"{name} is broken")
            record.figure(name, 1)

        return run

    return [Part(name, measured(name)) for name in "abc"]


def test_a_part_that_raises_leaves_a_sentence_and_the_next_begins(tmp_path):
    record = Record(tmp_path / "x.json")
    assert child.run(parts(breaks="b"), job(tmp_path), record) == 0
    assert read(record.path)["parts"] == {"a": DONE, "b": "ArithmeticError: b is broken", "c": DONE}
    assert read(record.path)["figures"] == {"a": 1, "c": 1}


def test_a_device_that_a_part_has_broken_asks_for_another_process(tmp_path, monkeypatch):
    record = Record(tmp_path / "x.json")
    monkeypatch.setattr(child, "usable", lambda _: False)
    assert child.run(parts(breaks="a"), job(tmp_path), record) == AGAIN
    monkeypatch.setattr(child, "usable", lambda _: True)
    assert child.run(parts(), job(tmp_path), Record(record.path)) == 0
    assert read(record.path)["parts"] == {"a": "ArithmeticError: a is broken", "b": DONE, "c": DONE}


def test_a_part_that_needs_more_than_is_left_is_left_out(tmp_path):
    record = Record(tmp_path / "x.json")
    first, second, third = parts()
    child.run([first, replace(second, needs=500), third], job(tmp_path, 99), record)
    state = read(record.path)["parts"]
    assert re.fullmatch(r"left out: it needs 500 s, and \d\d s were left", state["b"])
    assert state["c"] == DONE


def test_a_part_that_hangs_is_ended_at_its_limit(tmp_path):
    """By the operating system: a loop that Python's own handlers never interrupt."""
    code = "import time\nfrom benchmarks.gpu.process import alarm\nwith alarm(0.3):\n    time.sleep(30)\n"
    began = time.time()
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT)
    assert done.returncode == -signal.SIGALRM
    assert time.time() - began < 25
    assert runner.ended(done.returncode, "a warning") == "stopped at its time limit"


@pytest.mark.parametrize("name", [stage.name for stage in STAGES])
def test_every_stage_has_parts_of_different_names(name):
    found = import_module(f"benchmarks.gpu.stages.{name}").PARTS
    assert len({part.name for part in found}) == len(found) > 0
    assert sum(part.needs for part in found) < 480
    assert all(part.limit >= part.needs for part in found)
