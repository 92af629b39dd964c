"""Every stage of `python -m benchmarks.gpu` on the CPU, in tiny: the lines that a GPU will run are kept alive."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from PIL import Image

from benchmarks.gpu.goals import GOALS
from benchmarks.gpu.page import ON_CPU
from benchmarks.gpu.record import DONE, read
from benchmarks.gpu.runner import GRACE, Runner
from benchmarks.gpu.stage import STAGES, Stage
from tests.cpu_limit import cpu_limit

ROOT = Path(__file__).resolve().parents[1]
ONLY_ON_A_GPU = {"tests failed", "small, graph", "ddpm++, graph"}
WITH_DIFFUSERS = {"small, ratio", "ddpm++, ratio"}
DATA = [ROOT / place for place in ("shared/data/fashion-mnist", "../shared/data/fashion-mnist")]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> tuple[Path, float]:
    """The folder of a quick run, and the seconds of the processor that it took."""
    folder, before = tmp_path_factory.mktemp("gpu"), used()
    command = [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--quick", "--output", str(folder)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder, used() - before


def used() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


def test_a_quick_run_takes_less_than_a_minute_and_a_half(quick):
    assert quick[1] < cpu_limit(90)


@pytest.mark.parametrize("stage", [stage.name for stage in STAGES])
def test_every_part_of_a_stage_comes_to_its_end(quick, stage):
    found = read(quick[0] / "records" / f"{stage}.json")
    state = read(quick[0] / "records" / f"{stage}.state.json")
    assert state["said"] == ""
    assert found["parts"] == dict.fromkeys(found["planned"], DONE)
    assert found["card"]["torch"] == torch.__version__
    mistakes = [note for note in found["notes"] if re.search(r"\b\w+Error\b", note)]
    assert not [note for note in mistakes if "No module named" not in note and "ImportError" not in note]


def test_every_goal_has_its_figure(quick):
    """A figure under another name would be a goal that is never measured."""
    found = json.loads((quick[0] / "gpu.json").read_text())
    missing = {goal.figure for goal in GOALS if goal.figure not in found[goal.stage]["figures"]}
    assert ONLY_ON_A_GPU <= missing <= ONLY_ON_A_GPU | WITH_DIFFUSERS


def test_the_cpu_agrees_with_itself(quick):
    figures = read(quick[0] / "records" / "correctness.json")["figures"]
    assert {name: figures[name] for name in figures} == dict.fromkeys(
        ("noise differs", "samplers differ", "trainings differ", "resumed differs"), 0
    )


def test_the_page_and_its_pictures_are_there(quick):
    text = (quick[0] / "gpu.md").read_text()
    assert ON_CPU in text
    assert "Not measured." not in text
    for name in re.findall(r"\]\((pictures/[\w.-]+)\)", text):
        with Image.open(quick[0] / name) as picture:
            assert min(picture.size) > 20
    assert text.count("](pictures/") == 2


def test_without_fashion_mnist_the_stage_says_so(quick):
    notes = " ".join(read(quick[0] / "records" / "quality.json")["notes"])
    there = any(folder.is_dir() for folder in DATA) or "FASHION_MNIST" in os.environ
    assert ("Fashion-MNIST is not there" in notes) != there


def test_a_quick_run_changes_nothing_in_the_repository(quick):
    asked = [
        "git",
        "-C",
        str(ROOT),
        "status",
        "--porcelain",
        "--",
        "docs/gpu.md",
        "docs/pictures",
        "benchmarks/results",
    ]
    if (ROOT / ".git").exists():
        assert subprocess.run(asked, capture_output=True, text=True, check=True).stdout == ""


SLOW_DEVICE = """
import sys, time
from torch.utils._python_dispatch import TorchDispatchMode
from benchmarks.gpu import child

class Slow(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        time.sleep(0.02)
        return func(*args, **(kwargs or {}))

with Slow():
    code = child.main()
sys.exit(code)
"""


@pytest.mark.parametrize("stage", ["sampling", pytest.param("quality", marks=pytest.mark.weekly)])
def test_a_slow_device_keeps_the_budget(tmp_path, stage):
    """Every operation of torch takes 20 ms: the stage is ended at its time, and what it had is there."""
    budget, began = 25.0, time.time()
    slow = Stage(stage, stage, 1, ("-c", SLOW_DEVICE))
    Runner([slow], budget, tmp_path, ["--device", "cpu", "--quick"], lambda: None).run()
    assert time.time() - began < budget + GRACE
    found = read(tmp_path / f"{stage}.json")
    assert set(found["parts"]) <= set(found["planned"])
    assert any(
        state != DONE
        for state in [*found["parts"].values(), "not begun" * (len(found["parts"]) < len(found["planned"]))]
    )
