"""Five scripts of a report from outside as they were, under today's names; `test_cases` has their whole kinds.

A foreign repository, an edited record, the horizon in float32, other rows on resume, other settings of saving on resume.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from itertools import takewhile
from pathlib import Path

import pytest
import torch

from sde_diffusion.cli.main import main
from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.plugins import implementations
from sde_diffusion.sde import VP, LinearSDE
from sde_diffusion.training import TrainSettings, train
from tests.cli.conftest import refused
from tests.training.test_run_folder import HAS_GIT, git

__all__ = ["refused"]

QUIET = ["--watch.held_out_every", "0", "--watch.levels_every", "0", "--watch.pictures_every", "0", "--device", "cpu"]
MOONS = ["--data", "moons", "--network", "mlp(width=16)", "--training.batch_size", "16", *QUIET]
TWENTY = [*MOONS, "--training.steps", "20"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """20 steps on two moons."""
    folder = tmp_path_factory.mktemp("reported") / "run"
    assert main(["train", "--output", str(folder), *TWENTY, "--training.checkpoint_every", "5"]) == 0
    return folder


@HAS_GIT
def test_a_filter_and_a_hook_of_a_foreign_repository_do_not_run(tmp_path, monkeypatch):
    """`sde-diffusion train` in a folder with a .git of an archive; `git status` there would run both."""
    evil, sang = tmp_path / "evil", tmp_path / "sang"
    folder = tmp_path / "archive"
    folder.mkdir()
    git(folder, "init")
    (folder / "a").write_text("1")
    git(folder, "add", "a")
    git(folder, "commit", "-m", "first")
    evil.write_text(f"#!/bin/sh\necho x >> {sang}\ncat\n")
    evil.chmod(0o755)
    (folder / ".gitattributes").write_text("* filter=x")
    git(folder, "config", "filter.x.clean", str(evil))
    shutil.copy(evil, folder / ".git/hooks/post-index-change")
    (folder / "a").write_text("2")
    monkeypatch.chdir(folder)
    assert main(["train", "--output", "run", *MOONS, "--training.steps", "2"]) == 0
    assert not sang.exists()
    subprocess.run(["git", "status"], capture_output=True, timeout=20, check=False)
    assert sang.exists(), "nothing would have run anyway"


def test_an_edited_scale_moves_no_sample_silently(trained, tmp_path, refused):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    words = ["sample", str(run), "--count", "8", "--chunk", "8", "--steps", "3", "--device", "cpu", "--output", "s"]
    assert main(words) == 0
    found = json.loads((run / "model.json").read_text())
    found["standardization"]["scale"] = [1.5 * scale for scale in found["standardization"]["scale"]]
    (run / "model.json").write_text(json.dumps(found))
    shutil.rmtree("s")
    assert "json" in refused(*words)
    assert not Path("s").exists()


def test_the_horizon_of_every_process_in_float32_is_taken():
    for make in implementations("sde_diffusion.sde", LinearSDE).values():
        sde = make()
        for t in (torch.full((4,), sde.horizon), torch.full((4,), sde.horizon).clamp(max=sde.horizon)):
            mean, std = sde.marginal(torch.ones(4, 2), t)
            assert mean.isfinite().all()
            assert torch.as_tensor(std).isfinite().all()


@pytest.mark.filterwarnings("ignore:the data have")
def test_rows_that_no_even_sample_holds_are_seen_on_resume(tmp_path):
    """Interrupted at step 20 of 40; then 744 of 1000 rows replaced, those of 256 evenly spaced ones kept."""

    def go(x: torch.Tensor, stop: int | None = None) -> None:
        torch.manual_seed(0)
        model = Preconditioned(TimeMLP(features=2, width=8), EDMPreconditioning())
        settings = TrainSettings(steps=40, batch_size=64, log_every=5, checkpoint_every=5)
        reports = train(model, VP(), x, settings, folder=tmp_path / "run", device="cpu")
        list(takewhile(lambda report: report.step != stop, reports))

    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(0))
    kept = torch.linspace(0, 999, 256, dtype=torch.float64).round().long()
    other = torch.full_like(x, 1000.0)
    other[kept] = x[kept]
    go(x, 20)
    with pytest.raises(ValueError, match="another run: data"):
        go(other)
    go(x)


@pytest.mark.parametrize(
    ("name", "value"),
    [("max_checkpoints", 5), ("log_every", 7), ("checkpoint_every", 10), ("max_consecutive_skips", 20)],
)
def test_a_run_goes_on_with_other_settings_of_saving(trained, tmp_path, name, value):
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    every = [] if name == "checkpoint_every" else ["--training.checkpoint_every", "5"]
    assert main(["train", "--output", str(run), *TWENTY, *every, f"--training.{name}", str(value)]) == 0
