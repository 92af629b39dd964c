"""The command and the plugin: what they print, and how they end."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sde_diffusion.cli.main import main
from sde_diffusion.testing import plugin

ROOT = Path(__file__).resolve().parents[2]


def test_the_command_prints_the_report_and_ends_with_zero(capsys):
    assert main(["check", "sde_diffusion.sde:VE"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("VE: ")
    assert "0 failed" in said


def test_the_command_names_the_cause_and_ends_with_one(capsys, tmp_path):
    file = tmp_path / "report.json"
    assert main(["check", "tests.known_bugs.g_twice:Doubled", "--json", str(file)]) == 1
    assert "likely cause: g is twice too large" in capsys.readouterr().out
    assert json.loads(file.read_text())["ok"] is False


def test_the_command_prints_json(capsys):
    assert main(["check", "solvers:Heun", "--json", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["sde_diffusion.sde:Nobody"], "cannot be loaded"),
        (["sde_diffusion.sde:VP", "--level", "deep"], "quick or full"),
        (["sde_diffusion.kernel:Kernel"], "wants arguments"),
    ],
)
def test_the_command_refuses_in_a_sentence(arguments, says, capsys):
    assert main(["check", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1


def plugged(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(folder)])
    environment = {**os.environ, "PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "sde_diffusion.testing.plugin",
        "-p",
        "no:cacheprovider",
        *arguments,
    ]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


@pytest.mark.slow
def test_the_plugin_adds_a_test_for_each_check(tmp_path):
    """One run on a faulty process and on a sound method: the first's fault is told, the rest passes."""
    (tmp_path / "mine.py").write_text(
        "from sde_diffusion.sde import VP\n\nclass Mine(VP):\n    def g(self, t):\n        return 2 * super().g(t)\n"
    )
    done = plugged("--sde", "mine:Mine", "--conformance", "solvers:Heun", "-q", folder=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "likely cause: g is twice too large" in done.stdout
    failed, passed = map(int, re.search(r"(\d+) failed, (\d+) passed", done.stdout).groups())
    assert 1 <= failed < 8
    assert passed > 20


def test_the_plugin_refuses_what_cannot_be_loaded(request):
    with pytest.raises(pytest.UsageError, match="cannot be loaded"):
        plugin._checks(request.session, "nowhere:Mine", "quick")


def test_the_plugin_imports_nothing_before_it_is_asked():
    code = "import sys, sde_diffusion.testing.plugin; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
