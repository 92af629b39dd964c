"""The standard streams of the process closed, broken, or on a full disk: the results are on the disk, and nothing else is in them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from sde_diffusion.io.terminal import open_closed_streams
from tests.cli.conftest import snapped
from tests.cli.every_command import COMMANDS, NEEDS_FOLDER
from tests.faults import bodies
from tests.faults.conftest import ROOT

__all__ = ["snapped"]

DAILY = ("sample", "train")
EVERY = [name if name in DAILY else pytest.param(name, marks=pytest.mark.slow) for name in COMMANDS]


def whole(folder: Path, names: list[str]) -> bool:
    """Whether the files are there, and can be read to their ends."""
    for name in names:
        content = (folder / name).read_bytes()
        assert content, name
        if name.endswith(".json"):
            json.loads(content)
        if name.endswith(".safetensors"):
            load_file(folder / name)
        if name.endswith(".png"):
            assert content.startswith(b"\x89PNG")
            assert content.endswith(b"IEND\xaeB`\x82")
    return True


@pytest.mark.parametrize("command", EVERY)
def test_all_streams_closed(child, snapped, tmp_path, command):
    """`sde-diffusion ... <&- >&- 2>&-`: exit code 0, and no word of a library in a file that got a stream's number."""
    wanted, out = COMMANDS[command], tmp_path / "out"
    if command in NEEDS_FOLDER:
        out.mkdir()
    with child(bodies.command_with_streams_closed, wanted.arguments(snapped, out), [0, 1, 2]) as process:
        assert process.ended() == 0
    assert whole(out, wanted.files)
    assert not any(path.stat().st_size for path in out.glob("lock"))


def test_a_stream_that_is_missing_is_made(monkeypatch):
    """Python has none in the place of a closed one."""
    monkeypatch.setattr(sys, "stdout", None)
    open_closed_streams()
    assert sys.stdout.writable()
    assert sys.stdout.fileno() == 1


@pytest.mark.parametrize("closed", [[0], [1], [2], [0, 1, 2]], ids=str)
def test_a_refusal_with_streams_closed(child, tmp_path, closed):
    """The exit code; the sentence where the standard error is open, and never on the standard output."""
    with child(bodies.command_with_streams_closed, ["sample", str(tmp_path / "none")], closed) as process:
        assert process.ended() == 2
        assert process.words().startswith("sde-diffusion: there is no run") is (2 not in closed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize("command", EVERY)
def test_words_for_which_there_is_no_room(child, snapped, tmp_path, command):
    """The standard output on a full disk: the results are there, and one sentence says what is not."""
    wanted, out = COMMANDS[command], tmp_path / "out"
    if command in NEEDS_FOLDER:
        out.mkdir()
    with child(bodies.command_with_full_output, wanted.arguments(snapped, out)) as process:
        assert process.ended() == 2
        assert process.words().splitlines()[-1] == "sde-diffusion: <stdout>: no space left on device"
    assert whole(out, wanted.files)


@pytest.mark.parametrize("command", EVERY)
def test_the_standard_error_without_a_reader(child, snapped, tmp_path, command):
    """`2>&1 | head`: the progress is lost, and nothing else."""
    wanted, out = COMMANDS[command], tmp_path / "out"
    if command in NEEDS_FOLDER:
        out.mkdir()
    with child(bodies.command_into_a_closed_pipe, wanted.arguments(snapped, out)) as process:
        assert process.ended() == 0
    assert whole(out, wanted.files)


@pytest.mark.slow
def test_a_python_without_docstrings_and_assertions(tmp_path):
    """A new interpreter with -OO, and an ascii terminal; all in one process, for importing costs most."""
    wanted = [
        ["info"],
        COMMANDS["train"].arguments(tmp_path, tmp_path / "run"),
        ["compare", "run", "--samplers", "heun", "--budgets", "5", "--count", "16"],
        ["sample", "run", "--count", "2"],
    ]
    code = f"import sys\nfrom sde_diffusion.cli.main import main\nsys.exit(any([main(words) for words in {wanted!r}]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "ascii:strict"}
    command = [sys.executable, "-OO", "-c", code]
    found = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "Traceback" not in found.stderr
    assert (tmp_path / "run/compare/comparison.json").exists()
