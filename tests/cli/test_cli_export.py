"""A run's model in a folder for others, and such a folder in the place of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, UNet2DModel
from safetensors.torch import load_file

from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model
from sde_diffusion.sde import DDPM

DRAWN = ["--count", "3", "--chunk", "3", "--steps", "3", "--device", "cpu"]


def samples(source: Path, output: Path) -> torch.Tensor:
    assert main(["sample", str(source), *DRAWN, "--output", str(output)]) == 0
    return load_file(output / "samples.safetensors")["x"]


def test_a_shared_model_samples_as_its_run_does(trained, tmp_path):
    assert main(["export", str(trained), str(tmp_path / "shared"), "--licence", "apache-2.0"]) == 0
    assert torch.equal(samples(tmp_path / "shared", tmp_path / "a"), samples(trained, tmp_path / "b"))
    run, shared = (load_model(path, device_of("cpu")) for path in (trained, tmp_path / "shared"))
    assert (shared.run, shared.standardization.as_dict()) == (run.run, run.standardization.as_dict())
    assert (shared.prior, shared.event_shape, shared.levels) == (run.prior, run.event_shape, run.levels)
    text = (tmp_path / "shared/README.md").read_text()
    assert "digits(held_out=24)" in text
    assert 'license: "apache-2.0"' in text


@pytest.mark.slow
def test_a_comparison_goes_onto_the_card_and_works_on_the_folder(copied, tmp_path):
    asked = ["--samplers", "[data_adams]", "--budgets", "[2, 4]", "--device", "cpu"]
    assert main(["compare", str(copied), *asked]) == 0
    assert main(["export", str(copied), str(tmp_path / "shared"), "--title", "Digits"]) == 0
    found = json.loads((copied / "compare/comparison.json").read_text())
    best = min(found["results"], key=lambda trial: trial["scores"][0]["value"])
    lines = (tmp_path / "shared/README.md").read_text().splitlines()
    assert "# Digits" in lines
    assert f"| evaluations of the network a sample | {best['evaluations']:g} |" in lines
    for score in best["scores"]:
        assert any(
            line.startswith(f"| {score['name']} | {score['value']:g} +- ")
            and line.endswith(f"| {found['count']} | 0 |")
            for line in lines
        )
    assert main(["compare", str(tmp_path / "shared"), *asked, "--output", str(tmp_path / "again")]) == 0
    again = json.loads((tmp_path / "again/comparison.json").read_text())
    assert [trial["scores"] for trial in again["results"]] == [trial["scores"] for trial in found["results"]]


def test_a_folder_that_does_not_tell_its_data_still_samples(trained, tmp_path, refused):
    model = load_model(trained, device_of("cpu"))
    shared = replace(model, run={}).save(tmp_path / "shared")
    assert torch.equal(samples(shared, tmp_path / "a"), samples(trained, tmp_path / "b"))
    assert "does not name the data" in refused("compare", str(shared))
    assert "without labels" in refused("sample", str(shared), "--label", "1")


def test_a_pipeline_of_diffusers_samples_here(tmp_path, refused):
    unet = UNet2DModel(
        sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    DDIMPipeline(unet, DDIMScheduler()).save_pretrained(tmp_path / "theirs")
    x = samples(tmp_path / "theirs", tmp_path / "out")
    assert x.shape == (3, 1, 8, 8)
    assert torch.isfinite(x).all()
    assert "DiffusersBackbone is none of" in refused("export", str(tmp_path / "theirs"), "new")


def test_a_run_with_a_clip_of_infinity_is_shared_as_it_is(trained, tmp_path):
    model = load_model(trained, device_of("cpu"))
    run = {**model.run, "training": {**model.run["training"], "max_grad_norm": float("inf"), "seed": 2**63}}
    shared = replace(model, run=run).save(tmp_path / "shared")
    assert RunConfig.of(load_model(shared, device_of("cpu")).run, "there") == RunConfig.of(run, "here")


@pytest.mark.parametrize("name", ["weights.pt", "model.safetensors"])
def test_a_hostile_folder_is_refused(name, trained, tmp_path, refused):
    assert main(["export", str(trained), str(tmp_path / "shared")]) == 0
    (tmp_path / "shared" / name).write_bytes(b"x")
    assert name in refused("sample", str(tmp_path / "shared"))


def test_a_folder_in_use_is_refused(copied, refused):
    assert "exists and is not empty" in refused("export", str(copied), str(copied))


def test_a_network_of_diffusers_trains_here_and_samples_there(tmp_path):
    """Trained by name, exported, loaded by diffusers: what it takes for the picture at a step is what the run does."""
    wanted = ["--network", "diffusers_unet", "--network.width", "8", "--parameterization", "noise(data_std=1)"]
    wanted += ["--standardization", "none"]
    sizes = ["--training.steps", "3", "--training.batch_size", "8", "--device", "cpu"]
    assert main(["train", *wanted, *sizes, "--output", str(tmp_path / "run")]) == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "there"), "--format", "diffusers"]) == 0
    model, pipeline = load_model(tmp_path / "run", device_of("cpu")), DDIMPipeline.from_pretrained(tmp_path / "there")
    pipeline.scheduler.set_timesteps(1000)
    chain, x = DDPM.from_process(model.sde, 1000), torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for step in (0, 400, 999):
        said = pipeline.unet(x, step).sample.detach()
        assert float(said.abs().max()) > 0
        theirs = pipeline.scheduler.step(said, step, x).pred_original_sample
        ours = model.denoiser(x, chain.kernel(chain.node(step + 1)))
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4 * float(theirs.abs().max()))


def test_a_network_of_ours_is_no_pipeline(trained, tmp_path, refused):
    assert "diffusers can only run its own networks" in refused(
        "export", str(trained), "there", "--format", "diffusers"
    )
    assert "format is ours or diffusers" in refused("export", str(trained), "there", "--format", "onnx")
