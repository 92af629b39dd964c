"""The README's Python runs, top to bottom, in one namespace; its first screen keeps its promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from sde_diffusion.data.moons import Moons
from sde_diffusion.metrics import sliced_wasserstein
from tests.cpu_limit import cpu_limit

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
FIRST = BLOCKS[0]


def test_the_first_screen_is_short_and_has_one_import():
    lines = FIRST.strip().splitlines()
    assert len(lines) <= 8
    assert [line for line in lines if re.match(r"(from|import)\s", line)] == lines[:1]
    assert (README.parent / "docs/pictures/first-screen.png").stat().st_size < 250_000


@pytest.mark.slow
def test_the_readmes_python_runs(monkeypatch, tmp_path):
    """And the claims it makes in comments hold: shapes, and the assertion on the exact distribution."""
    monkeypatch.chdir(tmp_path)
    space: dict = {}
    for block in BLOCKS[:1]:
        exec(compile(block, str(README), "exec"), space)
    assert space["y"].shape == space["z"].shape == (2048, 2)
    assert (tmp_path / "moons.png").stat().st_size > 10_000
    fresh = [Moons().sample(2048, torch.Generator().manual_seed(seed)) for seed in range(9)]
    baseline = sum(sliced_wasserstein(one, fresh[8]) for one in fresh[:8]) / 8
    for name in "yz":
        assert sum(sliced_wasserstein(one, space[name]) for one in fresh[:8]) / 8 <= 1.5 * baseline
    for block in BLOCKS[1:]:
        exec(compile(block, str(README), "exec"), space)
    assert space["warm"].shape == (64, 2)
    assert space["y"].shape == (512, 1)


@pytest.mark.slow
def test_the_first_screen_takes_at_most_twenty_seconds_of_one_core(tmp_path):
    """CPU seconds of a fresh interpreter with one thread, the import of torch among them."""
    code = f"{FIRST}\nimport time; print('cpu', time.process_time())"
    alone = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    used = float(done.stdout.rsplit("cpu", 1)[1])
    assert used <= cpu_limit(20), f"{used:.1f} CPU seconds, {time.monotonic() - began:.1f} on the clock"
