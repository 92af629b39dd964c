"""How the program is started, where it computes, and what it says of its parts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sde_diffusion import __version__
from sde_diffusion.cli.commands import info
from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.sharing.pretrained import digest as description_digest

ROOT = Path(__file__).resolve().parents[2]


def test_the_version_is_printed(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"sde-diffusion {__version__}\n"


@pytest.mark.parametrize(
    "options",
    [pytest.param(["-m", "sde_diffusion"], marks=pytest.mark.slow), ["-OO", "-m", "sde_diffusion"]],
    ids=" ".join,
)
def test_the_package_runs_as_a_module_and_without_docstrings(options):
    command = [sys.executable, *options, "info", "--kind", "sampler"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=300
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "euler_maruyama" in done.stdout


def test_a_preset_of_an_extra_that_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers.models.unets.unet_2d", None)
    monkeypatch.setattr(info, "choices", lambda _: {"diffusers_unet": choose("diffusers_unet")})
    (row,) = info.presets()
    assert row[0] == "diffusers_unet"
    assert "pip install 'sde-diffusion[diffusers]'" in row[2]


def choose(name: str):
    from sde_diffusion.plugins import choose

    return choose("network", name)


def test_a_device_is_one_that_torch_has(monkeypatch):
    assert device_of("cpu") == torch.device("cpu")
    monkeypatch.setattr("sde_diffusion.cli.device._count", lambda kind: {"cuda": 2}.get(kind, 0))
    assert device_of("auto") == torch.device("cuda")
    assert device_of("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match="cuda:2: torch sees 2 of that kind"):
        device_of("cuda:2")
    monkeypatch.setattr("sde_diffusion.cli.device._count", lambda kind: int(kind == "mps"))
    assert device_of("auto") == device_of("mps") == torch.device("mps")
    with pytest.raises(ValueError, match="torch sees no GPU"):
        device_of("cuda")
    with pytest.raises(ValueError, match="did you mean 'cuda'"):
        device_of("gpu")


def test_the_digest_of_a_model_is_that_of_all_but_the_run():
    described = {"process": {"name": "vp", "beta_max": 20.0}, "std": 1.5, "run": {"training": {"steps": 3}}}
    before = description_digest(described)
    assert description_digest({**dict(reversed(described.items())), "run": {}}) == before
    assert description_digest({**described, "std": 1.6}) != before
