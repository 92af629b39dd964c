"""How many files of the command line a command runs through, for whoever reads it."""

from __future__ import annotations

import inspect
import sys

from sde_diffusion.cli import main as program
from tests.cli.conftest import TINY

ROOM = "sde_diffusion/cli/"
MOST = 12


def crossed(arguments: list[str]) -> set[str]:
    """The files of `cli/` of which a function was called; definitions and imports do not count."""
    found: set[str] = set()

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and ROOM in code.co_filename and code.co_flags & inspect.CO_OPTIMIZED:
            found.add(code.co_filename.rpartition(ROOM)[2])

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        assert program.main(arguments) == 0
    finally:
        sys.setprofile(before)
    return found


def test_train_sample_and_compare_cross_few_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commands = {
        "train": [*TINY, "--training.steps", "2", "--output", "run"],
        "sample": ["run", "--count", "2"],
        "compare": ["run", "--samplers", "heun", "--budgets", "5", "--count", "16"],
    }
    for name, words in commands.items():
        files = crossed([name, *words])
        assert f"commands/{name}.py" in files
        assert len(files) <= MOST, sorted(files)
