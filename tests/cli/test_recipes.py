"""The recipes: complete runs of the literature, each read by `train --config` and begun."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.cli import factories
from sde_diffusion.cli.main import found, main, read
from sde_diffusion.cli.model import _Facts
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.plugins import choose

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "recipes"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))

MILLIONS = {
    "ddpm": 42.8, "score_sde_vp": 55.7, "score_sde_ve": 55.7, "edm": 55.7, "rectified_flow": 55.7, "dit_fashion_mnist": 33.0,
    "vdm": 34.9, "edm2_uncertainty": 55.7,
}  # fmt: skip
"""The published numbers of parameters: EDM's DDPM++ and DiT-S, table 1. Our U-Nets of DDPM's and VDM's width have more than 35.7 and 31."""

UNTRAINED = {**dict.fromkeys(NAMES, 1.0), "rectified_flow": 1.25, "vdm": 11.67}
"""The loss of the zero function for data of mean 0 and variance 1/4: E eps^2, E (eps - x_0)^2 for a flow, half the range of log-SNR for a bound."""

SMALL = {"unet": "unet(width=8,multipliers=[1,1])", "dit": "dit(width=16,depth=1,heads=2,classes=10)"}


def recipe(name: str):
    """The settings of `train --config recipes/NAME.yaml`."""
    return read(found(), ["train", "--config", str(FOLDER / f"{name}.yaml")])[1]


def test_every_recipe_is_in_the_table():
    page = (ROOT / "docs/recipes.md").read_text(encoding="utf-8")
    assert set(NAMES) == set(MILLIONS)
    assert all(f"| [`{name}`](../recipes/{name}.yaml) |" in page for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_complete_run_of_the_published_size(name):
    """All its names are known, its parts fit one another, and its network has the paper's parameters within a tenth."""
    settings = recipe(name)
    assert settings.name == name
    data = choose("data set", settings.part("data")["name"])
    shape = (1, 28, 28) if name == "dit_fashion_mnist" else (3, 32, 32)
    with torch.device("meta"):
        made = factories.components(settings, _Facts(shape, 0.5, data.classes))  # pyright: ignore
        factories.augmentation(settings.part("augment"))
    count = sum(parameter.numel() for parameter in made.denoiser.parameters())
    assert count / 1e6 == pytest.approx(MILLIONS[name], rel=0.1)


@pytest.fixture
def tiny_data(tmp_path):
    """48 pictures of one colour each in bytes, of mean 0 and variance 1/4 in [-1, 1], with labels. Turning changes none of them."""

    def made(shape):
        colours = np.random.default_rng(0).uniform(-1, 1, (48, 1, 1, shape[-1]))
        colours = (colours - colours.mean()) / colours.std() / 2
        pictures = np.broadcast_to((127.5 + 127.5 * colours).round().clip(0, 255), (48, *shape)).astype(np.uint8)
        np.savez(tmp_path / "tiny.npz", pictures=pictures, labels=np.arange(48) % 10)
        return f"array_file(path='{tmp_path / 'tiny.npz'}',key=pictures,labels=labels)"

    return made


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_first_steps_of_a_recipe(name, tiny_data, tmp_path, monkeypatch):
    """On tiny data with a tiny network: the first loss is that of the zero function, none is skipped, and samples are finite."""
    monkeypatch.chdir(tmp_path)
    kind = recipe(name).part("network")["name"]
    network = SMALL[kind] if name != "edm" else SMALL[kind].replace(")", ",augment=9)")
    data = tiny_data((14, 14, 1) if kind == "dit" else (16, 16, 3))
    words = ["--data", data, "--network", network, "--training.steps", "50", "--training.batch_size", "32"]
    words += ["--training.log_every", "10", "--compute.threads", "1", "--device", "cpu"]
    words += [f"--watch.{part}_every=0" for part in ("held_out", "levels", "pictures")]
    assert main(["train", "--config", str(FOLDER / f"{name}.yaml"), *words]) == 0
    reports = [line for line in metrics_file.read(Path("runs") / name / "metrics.jsonl") if "loss" in line]
    assert [line["step"] for line in reports] == [10, 20, 30, 40, 50]
    assert reports[0]["loss"] == pytest.approx(UNTRAINED[name], rel=0.1)
    assert all(math.isfinite(line["loss"]) and not line["skipped"] for line in reports)
    model = DiffusionModel.load(Path("runs") / name, device="cpu")
    assert model.sample(2, nfe=4, **({"label": 3} if model.classes else {})).isfinite().all()
