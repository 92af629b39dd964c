"""Every command from end to end on tiny settings; what a run leaves behind, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sde_diffusion.cli import factories
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import _Facts, load_model
from sde_diffusion.cli.sampler_specs import sampler
from sde_diffusion.data import by_name
from sde_diffusion.evaluation.generate import samples_of
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.networks import UNet
from sde_diffusion.specs import spec
from tests.cli.conftest import TINY


def weights(run: Path) -> dict[str, torch.Tensor]:
    newest = max((run / "checkpoints").iterdir())
    return {**load_file(newest / "model.safetensors"), **load_file(newest / "ema.safetensors")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_says_how_it_was_made(trained):
    config = json.loads((trained / "config.json").read_text())
    assert config["training"]["seed"] == 0
    assert config["network"] == {"name": "mlp", "width": 16, "depth": 1}
    assert config["sde"] == {"name": "vp"}
    made_with = json.loads((trained / "versions.json").read_text())[0]
    assert torch.__version__.startswith(made_with["packages"]["torch"])
    reports = [record for record in metrics_file.read(trained / "metrics.jsonl") if "loss" in record]
    assert [record["step"] for record in reports] == [2, 4, 6, 8, 10, 12]
    described = json.loads((trained / "model.json").read_text())
    x, _ = by_name("digits", held_out=24).tensors("train")
    assert described["event_shape"] == [1, 8, 8]
    assert described["standardization"]["shift"] == pytest.approx(x.mean().item(), rel=1e-5)
    assert described["standardization"]["scale"] == pytest.approx(x.std(correction=0).item(), rel=1e-5)


def test_a_finished_run_is_finished_at_once(copied):
    before = weights(copied)
    stamps = {path: path.stat().st_mtime_ns for path in copied.rglob("*.safetensors")}
    assert main(["train", *TINY, "--output", str(copied)]) == 0
    assert same(weights(copied), before)
    assert {path: path.stat().st_mtime_ns for path in copied.rglob("*.safetensors")} == stamps


def test_an_interrupted_run_goes_on_to_the_same_weights(trained, tmp_path, monkeypatch, capsys):
    """Stopped by Ctrl-C after 6 of 12 steps, then asked for again."""
    append = metrics_file.append

    def stop_at_six(path, record):
        if record["step"] == 6:
            raise KeyboardInterrupt
        append(path, record)

    wanted, run = ["train", *TINY, "--output", str(tmp_path / "run")], tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(metrics_file, "append", stop_at_six)
        assert main(wanted) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "sde-diffusion: interrupted; saved at step 6; the same command goes on from there"
    assert max((run / "checkpoints").iterdir()).name == "step-000006"
    assert not same(weights(run), weights(trained))
    assert main(wanted) == 0
    assert same(weights(run), weights(trained))


def test_another_seed_gives_another_model(trained, tmp_path):
    assert main(["train", *TINY, "--training.seed", "1", "--output", str(tmp_path / "run")]) == 0
    assert not same(weights(tmp_path / "run"), weights(trained))


def test_runs_go_below_the_working_directory_and_nowhere_else(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--name", "mine", "--training.steps", "2"]) == 0
    assert "runs/mine" in capsys.readouterr().out
    assert main(["sample", "mine", "--count", "2", "--chunk", "2", "--sampler", "data_adams", "--steps", "2"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["mine"]
    assert (tmp_path / "runs" / "mine" / "samples").is_dir()


def test_samples_are_those_of_the_averaged_model(copied, tmp_path):
    asked = ["--count", "5", "--chunk", "4", "--seed", "3", "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["sample", str(copied), "--sampler", "data_adams", *asked]) == 0
    model = load_model(copied, device_of("cpu"))
    average = load_file(max((copied / "checkpoints").iterdir()) / "ema.safetensors")
    assert same({name: value.clone() for name, value in model.denoiser.state_dict().items()}, average)
    drawn = samples_of(model, sampler("data_adams"), 5, 3, chunk=4)
    assert torch.equal(load_file(tmp_path / "out" / "samples.safetensors")["x"], drawn.x)
    facts = json.loads((tmp_path / "out" / "samples.json").read_text())
    assert facts["evaluations"] == drawn.evaluations == 20  # its own budget counts every call
    assert facts["seed"] == 3
    with Image.open(tmp_path / "out" / "samples.png") as grid:
        assert grid.size == (31 * (3 * 8 + 2), 31 * (2 * 8 + 1))  # about 800 wide


def test_sample_i_does_not_depend_on_the_count(trained):
    model, recipe = load_model(trained, device_of("cpu")), sampler("reverse_sde/euler_maruyama/5")
    few, many = (samples_of(model, recipe, count, 0, chunk=4).x for count in (3, 9))
    assert torch.equal(few, many[:3])


def test_a_model_of_the_labels_draws_a_class(tmp_path, monkeypatch):
    """The label reaches the network: another class, another sample from the same noise."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", *TINY, "--network.classes", "10", "--output", "run", "--training.steps", "60"]) == 0
    for label in ("0", "1"):
        assert main(["sample", "run", "--label", label, "--count", "4", "--chunk", "4", "--output", label]) == 0
    zero, one = (load_file(tmp_path / label / "samples.safetensors")["x"] for label in ("0", "1"))
    assert not torch.equal(zero, one)


def test_a_run_on_the_plane(tmp_path, monkeypatch):
    """Points instead of pictures: train, sample, compare and animate."""
    monkeypatch.chdir(tmp_path)
    tiny = ["--network.width", "16", "--training.steps", "4", "--training.batch_size", "32", "--data.count", "80"]
    assert main(["train", "--data", "two_gaussians", *tiny, "--sde", "ve", "--output", "run"]) == 0
    assert main(["sample", "run", "--count", "9", "--chunk", "9", "--steps", "3"]) == 0
    assert main(["compare", "run", "--samplers", "[data_adams]", "--budgets", "[2]"]) == 0
    assert main(["animate", "run", "--frames", "4", "--points", "9"]) == 0
    found = json.loads((tmp_path / "run" / "compare" / "comparison.json").read_text())
    assert [score["name"] for score in found["results"][0]["scores"]] == ["sliced W2"]


def test_animate_a_law(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["animate", "--frames", "5", "--points", "30"]) == 0
    folder = tmp_path / "runs" / "animate-two"
    assert str(Path("runs/animate-two/diffusion.gif")) in capsys.readouterr().out
    with Image.open(folder / "diffusion.gif") as film:
        assert film.n_frames == 12  # six moments there, and six back: the last is t_min instead of 0
    with Image.open(folder / "diffusion.png") as strip:
        assert strip.width > 1000


def test_info_prints_tables(capsys):
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("vp", "unet", "exponential_adams", "digits", "ring8", "torch", "threads"))


@pytest.mark.slow
def test_info_on_networks_says_what_each_preset_costs(capsys):
    assert main(["info", "--kind", "network"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if "│ unet " in line and "ddpm++" in line)
    assert "56.3 M" in row
    assert "43.0 G" in row  # tests/networks/test_networks_cost.py holds both against the paper


def test_a_preset_stands_for_its_arguments_and_others_win(refused):
    config = RunConfig(network=spec("unet", preset="tiny", width=8))
    model = factories.components(config, _Facts((1, 8, 8), 1.0, None)).denoiser
    assert model.backbone.arguments == {**UNet.presets["tiny"], "width": 8, "channels": 1, "rank": 2}
    assert "did you mean 'small'?" in refused("train", "--network", "unet", "--network.preset", "smal")
    assert "has no preset 'small'" in refused("train", "--network", "mlp", "--network.preset", "small")


DEMO = [*TINY, "--samplers", "[data_adams, ancestral/3, reverse_sde/3, langevin]", "--budgets", "[2, 4]"]


@pytest.mark.slow
def test_demo_makes_a_report_and_is_done_when_asked_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wanted = ["demo", *DEMO, "--frames", "4", "--training.steps", "4"]
    assert main(wanted) == 0
    run = tmp_path / "runs" / "demo"
    assert "real training data" in capsys.readouterr().out
    expected = {"report.html", "report.md", "results.json", "comparison.json", "comparison.png", "config.json"}
    assert expected <= {path.name for path in run.iterdir()}
    pictures = {"samples", "cost", "classes", "neighbours", "training", "film"}
    assert {path.stem for path in (run / "figures").iterdir()} == pictures
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "weights are those of the last step, where the held out loss was lowest" in page
    assert page.count("<img ") == 7  # the error by noise level lies beside the run's checkpoints
    assert "http://" not in page
    assert "https://" not in page
    results = json.loads((run / "results.json").read_text())
    assert len(results["samplers"]) == 4
    assert all(sum(shares) == pytest.approx(1) for shares in results["class_shares"].values())
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.suffix in (".html", ".png", ".json")}
    assert main(wanted) == 0
    unchanged = {path for path in before if path.name != "model.json"}
    assert {path: path.stat().st_mtime_ns for path in unchanged} == {path: before[path] for path in unchanged}
    assert main([*wanted, "--training.seed", "1"]) == 2
    assert "another run" in capsys.readouterr().err
