"""A command's results are on disk before it prints: no terminal and no pipe can lose them. A refused one leaves nothing."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import pytest

from sde_diffusion.cli.main import main
from sde_diffusion.cli.results_folder import results_folder
from tests.cli.every_command import COMMANDS, CPU, NEEDS_FOLDER


class ClosedPipe(io.StringIO):
    """Standard output whose reader is gone; it notes which files were there at the first word."""

    encoding = "utf-8"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.folder, self.found = folder, None

    def write(self, text: str) -> int:
        if self.found is None:
            self.found = {path.name for path in self.folder.iterdir()} if self.folder.is_dir() else set()
        raise BrokenPipeError


@pytest.mark.thinned(2)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_files_are_there_before_the_first_word(snapped, tmp_path, monkeypatch, command):
    """On a closed pipe: exit code 0 and every file."""
    wanted, out = COMMANDS[command], tmp_path / "out"
    if command in NEEDS_FOLDER:
        out.mkdir()
    pipe = ClosedPipe(out)
    monkeypatch.setattr(sys, "stdout", pipe)
    assert main(wanted.arguments(snapped, out)) == 0
    assert pipe.found is not None
    assert {*wanted.files} <= pipe.found
    for name in wanted.files:
        content = (out / name).read_bytes()
        assert content
        if name.endswith(".json"):
            json.loads(content, parse_constant=pytest.fail)  # NaN or Infinity


@pytest.mark.parametrize(
    "command", ["compare a law", *(pytest.param(c, marks=pytest.mark.slow) for c in COMMANDS if c != "compare a law")]
)
def test_an_ascii_terminal_loses_nothing(snapped, tmp_path, monkeypatch, command):
    """The tables have a plus-minus sign."""
    wanted, out = COMMANDS[command], tmp_path / "out"
    if command in NEEDS_FOLDER:
        out.mkdir()
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    assert main(wanted.arguments(snapped, out)) == 0
    assert raw.getvalue() or command == "train"
    assert b"ddpm" in raw.getvalue() or command != "compare a law"
    assert all((out / name).stat().st_size > 0 for name in wanted.files)


def test_a_refused_command_leaves_nothing_behind_and_may_be_corrected(snapped, tmp_path, refused):
    copy = Path(shutil.copytree(snapped, tmp_path / "copy"))
    before = sorted(copy.rglob("*"))
    wanted = ["likelihood", str(copy), "--count", "2", "--steps", "2", "--paths", "2", *CPU]
    assert "tolerance is positive" in refused(*wanted, "--tol", "0")
    assert sorted(copy.rglob("*")) == before
    assert main([*wanted, "--tol", "0.5"]) == 0


def test_a_failed_command_keeps_what_was_there(tmp_path):
    """The results of an earlier call stay, with their made.json; new folders go, others' files stay."""
    with results_folder(tmp_path / "a" / "b", "x", {}) as folder:
        (folder / "result").write_text("1")
    with pytest.raises(ValueError, match="oops"), results_folder(folder, "x", {}):
        raise ValueError("oops")
    assert {path.name for path in folder.iterdir()} == {"result", "made.json"}
    with pytest.raises(ValueError, match="oops"), results_folder(tmp_path / "c" / "d", "x", {}):
        raise ValueError("oops")
    assert not (tmp_path / "c").exists()
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="oops"), results_folder(tmp_path / "empty", "x", {}):
        raise ValueError("oops")
    assert list((tmp_path / "empty").iterdir()) == []


def test_lists_are_written_as_words(refused):
    assert "--sampler is --samplers here" in refused("compare", "--law", "two", "--sampler", "ancestral")
    assert "between 1 and 1000000, got [0, 8]" in refused("compare", "--law", "two", "--budgets", "0", "8")
    assert "no sampler is called 'b'" in refused("compare", "--law", "two", "--samplers", "ancestral", "b")
