"""A tiny trained run that the tests of the command line share, and the command itself."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sde_diffusion.cli.main import main

TINY = [
    "--network",
    "mlp",
    "--network.width",
    "16",
    "--network.depth",
    "1",
    "--training.steps",
    "12",
    "--training.batch_size",
    "32",
]
TINY += ["--training.checkpoint_every", "4", "--training.log_every", "2", "--data.held_out", "24", "--device", "cpu"]


@pytest.fixture(autouse=True)
def few_resamples(monkeypatch):
    """Intervals cost most of a comparison's time, and no test here asks how exact they are."""
    from sde_diffusion.evaluation import metrics as yardsticks
    from sde_diffusion.evaluation import on_exact_law as law_trial

    monkeypatch.setattr(yardsticks, "RESAMPLES", 6)
    monkeypatch.setattr(law_trial, "RESAMPLES", 6)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run of 12 steps on the digits; copy it before changing it."""
    folder = tmp_path_factory.mktemp("cli") / "digits"
    assert main(["train", *TINY, "--output", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def snapped(tmp_path_factory) -> Path:
    """A run with snapshots; copy it before changing it."""
    folder = tmp_path_factory.mktemp("cli") / "snapped"
    more = ["--training.snapshot_every", "2", "--training.snapshot_lengths", "[0.1, 0.05]"]
    assert main(["train", *TINY, *more, "--output", str(folder)]) == 0
    return folder


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(trained, tmp_path / "copy"))


@pytest.fixture
def refused(capsys, monkeypatch, tmp_path):
    """Runs a command that must be refused, in an empty folder: exit code 2 and one sentence, which is returned."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 2
        error = capsys.readouterr().err
        assert error.startswith("sde-diffusion: "), error
        assert error.count("\n") == 1, error
        assert "Traceback" not in error
        return error

    return run
