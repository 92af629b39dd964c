"""`--help` is quick, because nothing heavy is imported before a command runs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from sde_diffusion.cli.main import found, main
from tests.cpu_limit import cpu_limit

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "torchvision", "scipy.stats", "sklearn", "matplotlib")
COMMANDS = (
    "animate",
    "anomalies",
    "average",
    "check",
    "compare",
    "demo",
    "evaluate",
    "export",
    "info",
    "likelihood",
    "reproduce",
    "sample",
    "train",
    "tune",
)
HELP = """
import sys
from sde_diffusion.cli.main import main
try: main({0})
except SystemExit as end: assert not end.code
"""


def apart(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=120)


def test_the_commands_are_those_of_the_issue():
    assert tuple(found()) == COMMANDS


@pytest.mark.parametrize("arguments", [["--help"], ["compare", "--help"], ["evaluate", "--help"]], ids=" ".join)
def test_help_loads_nothing_heavy(arguments):
    done = apart(HELP.format(arguments) + f"print([name for name in {HEAVY!r} if name in sys.modules])")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
    assert "usage: sde-diffusion" in done.stdout


def test_help_takes_less_than_half_a_second():
    """CPU seconds of the child, the median of five: what the machine's other guests take does not count."""
    seconds = []
    for _ in range(5):
        before = os.times()
        apart(HELP.format(["--help"]))
        after = os.times()
        seconds.append(after.children_user - before.children_user + after.children_system - before.children_system)
    assert statistics.median(seconds) < cpu_limit(0.5)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_words(command, capsys):
    """Each option of each command says what it is for."""
    from sde_diffusion.cli.options import attributes, get_type_hints

    settings = found()[command].Settings
    assert set(get_type_hints(settings)) <= set(attributes(settings))
    with pytest.raises(SystemExit) as end:
        main([command, "--help"])
    assert not end.value.code
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown for name in get_type_hints(settings))
