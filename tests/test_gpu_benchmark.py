"""`python -m benchmarks.gpu` keeps its budget, its order and what it has found, whatever its stages do.

The stages here are programs of a few lines that keep records as the real ones do. Time is that of the wall.
"""

from __future__ import annotations

import json
import os
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
from benchmarks.gpu import card, child, runner
from benchmarks.gpu.goals import GOALS, MET, MISSED, UNKNOWN
from benchmarks.gpu.page import NO_GPU, ON_CPU, escaped, page, row
from benchmarks.gpu.record import DONE, Record, read, sentence, without_folders
from benchmarks.gpu.runner import Runner
from benchmarks.gpu.stage import AGAIN, STAGES, Job, Part, Stage
from benchmarks.output import load_summary

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
    run(tmp_path, 3, stage("slow", HANGS), stage("good", FINE))
    assert time.time() - began < 3 + 0.5
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
    child.run([first, replace(second, needs=500), third], job(tmp_path, 100), record)
    state = read(record.path)["parts"]
    assert re.fullmatch(r"left out: it needs 500 s, and (99|100) s were left", state["b"])
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


# The record.


def test_a_record_holds_what_was_entered_and_no_number_that_is_none(tmp_path):
    record = Record(tmp_path / "x.json")
    record.figure("a", 2)
    record.figure("b", float("nan"))
    record.best("a", 1)
    record.best("c", float("inf"))
    record.row("T", ["x"], [1])
    Record(record.path).row("T", ["x"], ["2"])
    assert read(record.path)["figures"] == {"a": 2}
    assert read(record.path)["tables"] == [{"title": "T", "columns": ["x"], "rows": [["1"], ["2"]]}]


def test_a_sentence_names_the_error_and_no_folder():
    path = "/" + "home/someone/venv/lib/x.py"
    assert sentence(OSError(f"cannot read '{path}'\nin line 3\n\nmore")) == "OSError: cannot read 'x.py' in line 3"
    assert without_folders("3 / 4 of https://a.org/b/c and a/b/c") == "3 / 4 of https://a.org/b/c and a/b/c"


# Goals and the page.

GOAL = GOALS[-1]


@pytest.mark.parametrize(
    ("bound", "value", "met", "missed"),
    [
        ("at least", 0.25, (0.25, 0.3), (0.2499,)),
        ("at most", 0.05, (0.05, 0.0), (0.0501,)),
        ("below", 0.02, (0.0199,), (0.02, 0.1)),
    ],
)
def test_a_goal_is_met_missed_or_not_measured(bound, value, met, missed):
    goal = replace(GOAL, bound=bound, value=value)
    for found, verdict in [*((x, MET) for x in met), *((x, MISSED) for x in missed), (float("nan"), UNKNOWN)]:
        assert goal.verdict({goal.stage: {goal.figure: found}}) == verdict
    assert goal.verdict({}) == goal.verdict({goal.stage: {}}) == goal.verdict({"other": {goal.figure: 0.0}}) == UNKNOWN


def test_the_page_counts_the_goals():
    figures: dict = {stage.name: {} for stage in STAGES}
    for number, goal in enumerate(GOALS[:-1]):
        better = 1 if goal.bound == "at least" else -1
        figures[goal.stage][goal.figure] = goal.value + better * (-1 if number < 3 else 0.001)
    text = page({name: {"figures": one} for name, one in figures.items()})
    assert f"\n{len(GOALS) - 4} of {len(GOALS)} are met, 3 missed, 1 not measured.\n" in text


FOUND = {
    "training": {
        "card": {"card": "Card <X>", "driver": "1.2", "torch": "2.11"},
        "date": "2026-01-02 03:04 UTC",
        "seconds": 12.3,
        "said": "its process ended with 1",
        "figures": {"small, rate": 0.3},
        "tables": [{"title": "a|b", "columns": ["x_1", "y"], "rows": [["a|b", "c\nd"], ["`e`", "<script>"]]}],
        "notes": ["50% of *all*"],
        "parts": {"p": DONE, "q": "RuntimeError: CUDA error", "r": "begun"},
        "planned": ["p", "q", "r", "s"],
        "pictures": ["a.png"],
    }
}


def test_the_page_holds_the_card_the_figures_and_what_did_not_work():
    text = page(FOUND)
    for words in (
        r"- Card \<X\>, driver 1.2, torch 2.11 (training 2026-01-02 03:04 UTC)",
        "| U-Net `small`: share of the bf16 matrix rate | at least 25% | 30% | met |",
        "12 seconds. It ended early: its process ended with 1.",
        "\n| x\\_1 | y |\n|---|---|\n| a\\|b | c d |\n| \\`e\\` | \\<script\\> |\n",
        "\n![a.png](pictures/a.png)\n",
        "\n- 50% of \\*all\\*\n- q: RuntimeError: CUDA error\n- r: begun\n- s: not begun\n",
    ):
        assert words in text
    assert text.count("\nNot measured.") == len(STAGES) - 1
    assert NO_GPU not in text
    assert ON_CPU not in text


def test_a_cell_breaks_no_table():
    for cell in ("a|b", "a\nb", "a\\|b", "`|`", "x" * 5000):
        line = row([cell, "1"])
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3
        assert "\n" not in line
        assert len(line) < 700
    assert escaped("in " + "/" + "usr/lib/libx.so: no") == "in libx.so: no"


def test_the_page_of_the_repository_is_what_the_command_makes_of_the_summary():
    assert (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8") == page(load_summary("gpu"))


def test_a_page_without_a_gpu_says_so_and_names_the_command():
    text = page({})
    assert NO_GPU in text
    assert "`python -m benchmarks.gpu`" in NO_GPU
    assert f"0 of {len(GOALS)} are met, 0 missed, {len(GOALS)} not measured." in text


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A docs folder and a results folder that are not the repository's."""
    monkeypatch.setattr(command, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(command, "RESULTS", tmp_path / "results")
    for name in ("docs", "results", "run", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "a.png").write_bytes(b"png")
    return tmp_path


def test_records_of_a_gpu_become_the_page_and_those_of_a_cpu_do_not(repository):
    record = repository / "run" / "training.json"
    record.write_text(json.dumps(FOUND["training"]))
    assert command.publish(repository / "run").endswith("gpu.md: training")
    text = (repository / "docs" / "gpu.md").read_text()
    assert text == page(FOUND)
    assert (repository / "docs" / "pictures" / "a.png").read_bytes() == b"png"
    record.write_text(json.dumps(FOUND["training"] | {"card": {"card": "CPU, X"}}))
    with pytest.raises(ValueError, match="are of a CPU"):
        command.publish(repository / "run")
    with pytest.raises(ValueError, match="holds no records"):
        command.publish(repository / "empty")
    assert (repository / "docs" / "gpu.md").read_text() == text


# The card, as nvidia-smi describes it.

SMI = """#!/bin/sh
case "$*" in
  *driver_version*) echo 570.1 ;;
  *uuid*) echo GPU-0-1 ;;
  *clocks.sm*) echo "1980, 1980, 3201, 650.5, 700.00, [N/A]" ;;
  *) exit 1 ;;
esac
"""


@pytest.fixture
def smi(tmp_path, monkeypatch):
    (tmp_path / "nvidia-smi").write_text(SMI)
    (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    known = type("Known", (), {"name": "H200", "total_memory": 139 * 2**30, "major": 9, "minor": 0, "uuid": "0-1"})
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: known)


def test_the_card_and_its_clock_rates_are_read(smi):
    device = torch.device("cuda")
    found = card.card(device)
    assert (found["card"], found["driver"], found["memory, GiB"], found["compute capability"]) == (
        "H200",
        "570.1",
        "139",
        "9.0",
    )
    rates = card.clocks(device)
    assert (rates["SM clock, MHz"], rates["power limit, W"], rates["temperature, C"]) == ("1980", "700.00", "[N/A]")


def test_without_nvidia_smi_the_driver_is_unknown_and_there_are_no_rates(smi, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(card, "text_of", lambda _: "")
    assert card.driver() == "unknown: there is no nvidia-smi"
    assert card.clocks(torch.device("cuda")) == {}
    monkeypatch.setattr(card, "text_of", lambda _: "NVRM version: NVIDIA UNIX x86_64 Kernel Module  570.2  Mon\nGCC")
    assert card.driver() == "570.2"
