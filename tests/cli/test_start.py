"""`train --start FOLDER`: a run that begins with given weights, says so, and is resumed to the last bit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler, FlowMatchEulerDiscreteScheduler, UNet2DModel

from sde_diffusion import DiffusionModel, networks
from sde_diffusion.cli import factories
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import DATA_SUMMARY
from sde_diffusion.cli.start import _network
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.sde import VP
from sde_diffusion.training import latest, load
from tests.cli.conftest import TINY

HALF = [
    word if word != "24" else "48" for word in TINY[4:]
]  # other data: other digits are held out; the network is the start's
HALF += [f"--watch.{name}_every=0" for name in ("held_out", "levels", "pictures")] + ["--compute.threads", "1"]
STILL = [*HALF, "--training.learning_rate", "1e-30", "--training.steps", "2"]


def train(folder: Path, start: Path, words: list[str]) -> int:
    return main(["train", "--start", str(start), *words, "--output", str(folder)])


def tensors(folder: Path) -> dict[str, torch.Tensor]:
    return load(latest(folder / "checkpoints")).model


def close(a, b) -> bool:
    """To the rounding of an average of equal numbers."""
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], rtol=1e-6, atol=1e-8) for name in a)


def same(a, b) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_first_weights_are_those_of_the_start(trained, tmp_path):
    """After steps of length nothing: the averaged weights, the standardization and the process are the ones begun with."""
    assert train(tmp_path / "run", trained, STILL) == 0
    begun, model = DiffusionModel.load(trained, device="cpu"), DiffusionModel.load(tmp_path / "run", device="cpu")
    assert close(model.denoiser.state_dict(), begun.denoiser.state_dict())
    assert model.standardization.as_dict() == begun.standardization.as_dict()
    assert model.sde == begun.sde
    assert model.denoiser.parameterization == begun.denoiser.parameterization
    assert model.data_digest != begun.data_digest
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["network"]["name"] == "mlp"
    assert config["start"]["folder"] == str(trained.resolve())
    assert len(config["start"]["weights"]) == 64


def test_the_prior_is_that_of_the_new_data_in_the_old_coordinates(trained, tmp_path):
    """Mean and deviation of the pixels that are trained on, by hand."""
    assert train(tmp_path / "run", trained, STILL) == 0
    from sde_diffusion.cli.model import data_of

    model = DiffusionModel.load(tmp_path / "run", device="cpu")
    x = data_of(model).batch(torch.arange(data_of(model).size()))[0].double()
    z = (x - model.standardization.shift) / model.standardization.scale
    assert model.mean == pytest.approx(z.mean().item(), abs=1e-9)
    assert model.std == pytest.approx(z.std(correction=0).item(), rel=1e-9)
    assert model.std != 1


def test_an_interrupted_run_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch):
    """Stopped after 6 of 12 steps, asked for again; another start gives others."""
    assert train(tmp_path / "straight", trained, HALF) == 0
    append = metrics_file.append

    def stop_at_six(path, record):
        if record["step"] == 6:
            raise KeyboardInterrupt
        append(path, record)

    with monkeypatch.context() as patch:
        patch.setattr(metrics_file, "append", stop_at_six)
        assert train(tmp_path / "run", trained, HALF) == 130
    moved = Path(shutil.copytree(trained, tmp_path / "moved"))
    assert train(tmp_path / "run", moved, HALF) == 0  # the start lies elsewhere now: its weights are the same
    assert same(tensors(tmp_path / "run"), tensors(tmp_path / "straight"))
    assert not same(tensors(tmp_path / "run"), tensors(trained))


def test_another_start_is_another_run(trained, tmp_path, refused):
    assert train(tmp_path / "run", trained, STILL) == 0
    assert train(tmp_path / "other", trained, HALF) == 0
    said = refused("train", "--start", str(tmp_path / "other"), *STILL, "--output", str(tmp_path / "run"))
    assert "holds another run: start.weights is" in said


def test_shapes_that_do_not_fit_are_named(trained, tmp_path, refused):
    words = ["--network", "mlp(width=24,depth=1)", *HALF, "--output", str(tmp_path / "run")]
    said = refused("train", "--start", str(trained), *words)
    assert "tensors of the network do not fit" in said
    assert "backbone.blocks.0.body.0.bias is (16,) there and (24,) here" in said
    assert not (tmp_path / "run").exists()


def test_what_belongs_to_the_weights_is_not_asked_for_otherwise(trained, tmp_path, refused):
    more = [*HALF, "--output", str(tmp_path / "run")]
    assert "--sde is ve" in refused("train", "--start", str(trained), "--sde", "ve", *more)
    said = refused("train", "--start", str(trained), "--parameterization", "velocity", *more)
    assert "were trained with edm" in said
    said = refused("train", "--start", str(trained), "--data", "moons", "--output", str(tmp_path / "run"))
    assert "are for samples of shape (1, 8, 8), these data have (2,)" in said
    assert "there is no run" in refused("train", "--start", str(tmp_path / "nothing"), *more)
    assert not (tmp_path / "run").exists()


def test_a_shared_folder_is_a_start(trained, tmp_path):
    DiffusionModel.load(trained, device="cpu").save(tmp_path / "shared")
    assert train(tmp_path / "run", tmp_path / "shared", STILL) == 0
    assert same(
        DiffusionModel.load(tmp_path / "run").denoiser.state_dict(), DiffusionModel.load(trained).denoiser.state_dict()
    )


@pytest.fixture
def pipeline(tmp_path):
    """A folder of diffusers for pictures of the digits' size."""

    def made(scheduler=None, **options):
        network = UNet2DModel(
            sample_size=8, in_channels=1, out_channels=1, block_out_channels=(8,), layers_per_block=1, norm_num_groups=4,
            down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",), **options
        )  # fmt: skip
        DDPMPipeline(network, scheduler or DDPMScheduler(prediction_type="v_prediction")).save_pretrained(
            tmp_path / "pipe"
        )
        return tmp_path / "pipe"

    return made


def test_a_diffusers_folder_is_a_start_and_goes_back(pipeline, tmp_path):
    """The run has the network by its own configuration: it is sampled as any run, and exported to a pipeline again."""
    start = pipeline()
    assert train(tmp_path / "run", start, STILL) == 0
    begun, model = DiffusionModel.load(start, device="cpu"), DiffusionModel.load(tmp_path / "run", device="cpu")
    assert close(model.denoiser.state_dict(), begun.denoiser.state_dict())
    x, kernel = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)), begun.sde.kernel(0.4)
    torch.testing.assert_close(model.denoiser(x, kernel), begun.denoiser(x, kernel), rtol=1e-5, atol=1e-5)
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "out"), "--format", "diffusers"]) == 0
    again = DiffusionModel.load(tmp_path / "out", device="cpu")
    torch.testing.assert_close(again.denoiser(x, kernel), model.denoiser(x, kernel))
    model.save(tmp_path / "shared")
    assert torch.equal(
        DiffusionModel.load(tmp_path / "shared", device="cpu").denoiser(x, kernel), model.denoiser(x, kernel)
    )


def test_a_diffusers_folder_that_no_run_can_name_is_refused(pipeline, tmp_path, refused):
    more = [*HALF, "--output", str(tmp_path / "run")]
    assert "takes no classes" in refused("train", "--start", str(pipeline(num_class_embeds=10)), *more)
    assert "of a chain" in refused("train", "--start", str(pipeline(FlowMatchEulerDiscreteScheduler())), *more)
    assert not (tmp_path / "run" / DATA_SUMMARY).exists()


@pytest.mark.parametrize("name", networks.names())
def test_every_network_is_named_as_a_configuration_names_it(name):
    """Built again from the data's shape and the other arguments, it has the same tensors."""
    own = {"mlp": {"width": 24}, "unet": {"width": 8, "attention": (1,)}, "dit": {"width": 16, "heads": 2}}
    backbone = networks.by_name(name).fitting((1, 8, 8), **own.get(name, {"width": 16}), classes=3)
    model = SimpleNamespace(
        denoiser=SimpleNamespace(backbone=backbone), event_shape=(1, 8, 8), class_names=("a", "b", "c")
    )
    again = factories.network(_network(model), (1, 8, 8), seed=0, sde=VP())  # pyright: ignore
    shapes = [{name: value.shape for name, value in one.state_dict().items()} for one in (backbone, again)]
    assert shapes[0] == shapes[1]
    assert again.arguments.get("classes") == 3
