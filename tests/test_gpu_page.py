"""The page of `python -m benchmarks.gpu`: the records that it is made of, the goals, and what a card is said to be."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import benchmarks.gpu.__main__ as command
from benchmarks.gpu import card
from benchmarks.gpu.goals import GOALS, MET, MISSED, UNKNOWN
from benchmarks.gpu.page import NO_GPU, ON_CPU, escaped, page, row
from benchmarks.gpu.record import DONE, Record, read, sentence, without_folders
from benchmarks.gpu.stage import STAGES
from benchmarks.output import load_summary

ROOT = Path(__file__).resolve().parents[1]


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
