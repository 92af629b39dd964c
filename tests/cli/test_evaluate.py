"""`evaluate`: its numbers are those of the metrics, its samples those of `sample`, and real data pass for real."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from sde_diffusion.cli import factories as build
from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.load_samples import load_samples
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model
from sde_diffusion.cli.sampler_specs import sampler
from sde_diffusion.data import by_name
from sde_diffusion.evaluation.evaluator import Evaluator
from sde_diffusion.evaluation.generate import samples_of
from sde_diffusion.evaluation.metrics import UNBIASED
from sde_diffusion.metrics import density_coverage, energy_distance, frechet, kernel_distance, precision_recall
from sde_diffusion.plugins import choices
from sde_diffusion.specs import parse
from tests.cli.conftest import TINY

SHORT = ["--steps", "2", "--device", "cpu"]
MEASURES = ["Frechet", "sliced W2", "KID", "energy", "precision", "recall", "density", "coverage"]


def found_in(folder: Path) -> dict:
    assert (folder / "evaluation.png").stat().st_size > 10_000
    assert "| Frechet |" in (folder / "evaluation.md").read_text()
    return json.loads((folder / "evaluation.json").read_text())


def of(scores: list[dict]) -> dict[str, dict]:
    return {score["name"]: score for score in scores}


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> Path:
    """A run whose network was told the labels."""
    folder = tmp_path_factory.mktemp("told") / "run"
    assert main(["train", *TINY, "--network.classes", "10", "--output", str(folder)]) == 0
    return folder


def test_the_figures_are_those_of_the_metrics(trained, tmp_path, capsys):
    """Of the same samples as `sample` draws, of the held-out digits and of the first training ones, by their pixels."""
    common = ["--seed", "3", *SHORT, "--chunk", "24"]
    assert main(["evaluate", str(trained), *common, "--extractor", "pixels", "--output", str(tmp_path / "e")]) == 0
    shown = capsys.readouterr().out
    assert main(["sample", str(trained), *common, "--count", "24", "--output", str(tmp_path / "s")]) == 0
    x = load_file(tmp_path / "s" / "samples.safetensors")["x"].flatten(1)
    source = by_name("digits", held_out=24)
    truth, train = (source.tensors(split)[0].flatten(1) for split in ("held_out", "train"))
    found = found_in(tmp_path / "e")
    assert [score["name"] for score in found["scores"]] == MEASURES
    assert all(name in shown for name in MEASURES)
    assert (found["count"], found["sets"], found["seed"], found["extractor"]) == (24, 4, 3, "pixels")
    values = {"Frechet": frechet(x, truth), "KID": kernel_distance(x, truth), "energy": energy_distance(x, truth)}
    values |= dict(zip(("precision", "recall"), precision_recall(x, truth), strict=True))
    values |= dict(zip(("density", "coverage"), density_coverage(x, truth), strict=True))
    scores = of(found["scores"])
    assert {name: scores[name]["value"] for name in values} == pytest.approx(values, rel=1e-6)
    sets = [frechet(part, truth) for part in train[:96].split(24)]
    assert found["baseline"]["Frechet"]["value"] == pytest.approx(sum(sets) / 4)
    for name, score in scores.items():
        assert score["low"] <= score["value"] <= score["high"]
        assert (score["n"], score["seed"]) == (24, 3)
        floor = found["baseline"][name]
        assert floor["n"] == (96 if name in UNBIASED else 24)
        assert score["ratio"] == (None if name in UNBIASED else pytest.approx(score["value"] / floor["value"]))
    assert found["cost"]["evaluations"] == 2
    assert found["accuracy"] == {}


def test_held_out_events_are_at_no_distance_from_themselves(trained, tmp_path):
    save_file({"x": by_name("digits", held_out=24).tensors("held_out")[0]}, tmp_path / "x.safetensors")
    wanted = ["--samples", str(tmp_path / "x.safetensors"), "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["evaluate", str(trained), *wanted]) == 0
    found = found_in(tmp_path / "out")
    scores = of(found["scores"])
    assert found["extractor"] == "classifier"
    assert scores["Frechet"]["value"] == pytest.approx(0, abs=1e-6)
    assert (scores["precision"]["value"], scores["coverage"]["value"]) == (1, 1)
    assert scores["KID"]["value"] < 0
    assert found["cost"] == {}


@pytest.mark.slow
def test_classes_are_asked_for_and_found(told, tmp_path):
    """The accuracy is the share of right answers of a classifier that saw no event of the floor or the held-out set."""
    assert main(["evaluate", str(told), *SHORT, "--chunk", "7", "--output", str(tmp_path)]) == 0
    accuracy = found_in(tmp_path)["accuracy"]
    evaluator = Evaluator(by_name("digits", held_out=24), 0, conditional=True)
    drawn = samples_of(load_model(told, device_of("cpu")), sampler("default").with_steps(2), 24, 0, 7, evaluator.labels)
    right = (evaluator.classifier.predict(drawn.x) == evaluator.labels).double().mean()
    assert accuracy["samples"]["value"] == pytest.approx(float(right))
    assert accuracy["real data"]["value"] > 0.85
    assert accuracy["real data"]["low"] < accuracy["real data"]["value"] <= accuracy["real data"]["high"]


@pytest.mark.slow
def test_several_sets_are_a_mean_over_them(told, tmp_path):
    """Two sets: the mean of what each has alone, and the right answers of both."""
    assert main(["evaluate", str(told), *SHORT, "--sets", "2", "--extractor", "pixels", "--output", str(tmp_path)]) == 0
    found = found_in(tmp_path)
    evaluator = Evaluator(by_name("digits", held_out=24), 0, conditional=True)
    x = samples_of(load_model(told, device_of("cpu")), sampler("default").with_steps(2), 48, 0, 24, evaluator.labels).x
    each = [frechet(part.flatten(1), evaluator.held_out.flatten(1)) for part in x.split(24)]
    assert of(found["scores"])["Frechet"]["value"] == pytest.approx(sum(each) / 2, rel=1e-4)
    right = (evaluator.predict(x) == evaluator.labels.repeat(2)).double().mean()
    assert found["accuracy"]["samples"]["value"] == pytest.approx(float(right))
    assert found["accuracy"]["samples"]["n"] == 48


def test_the_label_of_a_sample_is_a_function_of_its_number(told):
    """Sample i of many labels is sample i of its own label alone, wherever the chunks end."""
    model, recipe = load_model(told, device_of("cpu")), sampler("default").with_steps(2)
    labels = torch.tensor([3, 1, 4, 1, 5])
    mixed = samples_of(model, recipe, 12, 0, chunk=4, label=labels).x
    for label in labels.unique().tolist():
        alone = samples_of(model, recipe, 12, 0, chunk=4, label=label).x
        rows = [i for i in range(12) if labels[i % 5] == label]
        torch.testing.assert_close(mixed[rows], alone[rows])
    assert torch.equal(samples_of(model, recipe, 7, 0, chunk=4, label=labels).x, mixed[:7])
    other = samples_of(model, recipe, 12, 0, chunk=4, label=2).x
    assert not torch.allclose(mixed, other)
    own_steps = sampler("velocity_form/dopri5/tol=1e-2")  # each sample chooses its own, of its own label
    several = samples_of(model, own_steps, 4, 0, chunk=4, label=labels).x
    for i in range(4):
        alone = samples_of(model, own_steps, 4, 0, chunk=4, label=int(labels[i])).x
        torch.testing.assert_close(several[i], alone[i], rtol=1e-3, atol=1e-3)


class Blanked:
    """The digits with some of the training events blanked out, and those of a class left out."""

    column_names = condition_names = None

    def __init__(self, rows: slice | torch.Tensor, held_out: int = 360, without: int = -1) -> None:
        self.source, self.rows, self.without = by_name("digits", held_out=held_out), rows, without
        self.event_shape, self.classes = self.source.event_shape, self.source.classes

    def tensors(self, split: str) -> tuple[torch.Tensor, torch.Tensor]:
        x, labels = self.source.tensors(split)
        if split != "train":
            return x, labels
        x = x.clone()
        x[self.rows] = 0
        return x[labels != self.without], labels[labels != self.without]


@pytest.mark.slow
def test_the_classifier_learns_from_nothing_that_is_compared():
    """Other events in the floor, the same features; other events among the rest, others."""
    evaluator, floor, rest = (Evaluator(Blanked(slice(blank))) for blank in (0, 720, 740))
    assert (evaluator.baseline_sets, len(evaluator.rows_unseen_by_classifier)) == (3, 720)
    x = evaluator.held_out[:5]
    assert torch.equal(evaluator.features(x), floor.features(x))
    assert not torch.equal(evaluator.features(x), rest.features(x))
    assert evaluator.real_baseline["Frechet, features"].value < floor.real_baseline["Frechet, features"].value / 3
    assert evaluator.accuracy(evaluator.held_out, evaluator.labels).value > 0.93


@pytest.mark.slow
def test_the_baseline_of_a_model_with_labels_has_the_classes_of_its_samples():
    """Set after set as many of each class as are held out, no event twice, none that the classifier has seen."""
    evaluator = Evaluator(by_name("digits", held_out=300), 0, conditional=True)
    sets = int((evaluator.train_labels.bincount() // evaluator.labels.bincount()).min().clamp(max=4))
    assert (evaluator.baseline_sets, len(evaluator.rows_unseen_by_classifier)) == (sets, 600)
    parts = evaluator.train_labels[evaluator.baseline_rows].split(evaluator.count)
    assert all(torch.equal(part.bincount(), evaluator.labels.bincount()) for part in parts)
    assert len(evaluator.baseline_rows.unique()) == 300 * sets
    assert (
        evaluator.real_baseline["Frechet, pixels"].value
        < Evaluator(by_name("digits", held_out=300)).real_baseline["Frechet, pixels"].value
    )
    x, blanked = (
        evaluator.held_out[:5],
        Evaluator(Blanked(evaluator.rows_unseen_by_classifier, held_out=300), conditional=True),
    )
    assert torch.equal(evaluator.features(x), blanked.features(x))


def test_classes_that_are_rare_or_missing_make_no_floor():
    wanted = int((by_name("digits", held_out=360).tensors("held_out")[1] == 0).sum())
    with pytest.raises(ValueError, match=f"class 0 has {wanted} held-out and 0 training examples; hold out fewer"):
        Evaluator(Blanked(slice(0), without=0), conditional=True)
    with pytest.raises(ValueError, match="the data have no labels"):
        Evaluator(by_name("moons"), conditional=True)


def test_pictures_of_a_folder_are_the_samples(trained, tmp_path, refused):
    levels = torch.randint(0, 256, (13, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    folder = tmp_path / "pictures"
    folder.mkdir()
    for index, picture in enumerate(levels):
        Image.fromarray(picture.numpy()).save(folder / f"{index:02d}.png")
    x = load_samples(folder, (1, 8, 8))
    torch.testing.assert_close(x, levels[:, None].float() * 2 / 255 - 1)
    assert load_samples(folder, (3, 8, 8)).shape == (13, 3, 8, 8)
    wanted = ["--samples", str(folder), "--extractor", "pixels", "--output", str(tmp_path / "out")]
    assert main(["evaluate", str(trained), *wanted]) == 0
    assert found_in(tmp_path / "out")["count"] == 13
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(folder / "99.png")
    assert "9 pixels wide and 8 high" in refused("evaluate", str(trained.absolute()), "--samples", str(folder))
    (folder / "99.png").unlink()
    (folder / "99.bmp").write_bytes(b"BM" + bytes(200))
    assert "99.bmp' cannot be read as a picture" in refused(
        "evaluate", str(trained.absolute()), "--samples", str(folder)
    )
    (folder / "99.bmp").unlink()
    (folder / "99.png").write_bytes(b"no picture")
    assert "cannot be read as a picture" in refused("evaluate", str(trained.absolute()), "--samples", str(folder))


def test_points_of_the_plane(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tiny = ["--network.width", "16", "--training.steps", "4", "--training.batch_size", "32", "--data.count", "80"]
    assert main(["train", "--data", "two_gaussians", *tiny, "--output", "run"]) == 0
    assert main(["evaluate", "run", "--count", "16", *SHORT]) == 0
    (folder,) = (tmp_path / "run" / "evaluate").iterdir()
    assert folder.name.endswith("pixels-seed0-n16")
    assert found_in(folder)["extractor"] == "pixels"


def test_extractors_are_found_and_built():
    assert set(choices("extractor")) == {"classifier", "inception", "pixels"}

    def none():
        raise ValueError("no classifier")

    x = torch.zeros(2, 1, 3, 3)
    assert build.extractor(parse("pixels"), none)(x).shape == (2, 9)
    with pytest.raises(ValueError, match="no classifier"):
        build.extractor(parse("classifier"), none)
    with pytest.raises(ValueError, match="takes no 'weight'; did you mean 'weights'"):
        build.extractor(parse("inception(weight='x')"), none)


def test_what_cannot_be_measured_is_refused(trained, tmp_path, refused, capsys):
    run = str(Path(shutil.copytree(trained, tmp_path / "run")).absolute())
    save_file({"x": torch.zeros(30, 1, 4, 4)}, tmp_path / "other.safetensors")
    save_file({"y": torch.zeros(3)}, tmp_path / "y.safetensors")
    save_file({"x": torch.full((30, 1, 8, 8), torch.nan)}, tmp_path / "nan.safetensors")
    save_file({"x": torch.zeros(5, 1, 8, 8)}, tmp_path / "few.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"\xff" * 20)
    for name, words in [
        ("other", "events have shape (1, 8, 8), got (1, 4, 4)"), ("y", "holds no tensor x, but y"),
        ("few", "at least 12 samples and held-out examples are compared, got 5"),
        ("bad", "is damaged"), ("none", "neither a .safetensors file nor a folder"),
    ]:  # fmt: skip
        assert words in refused("evaluate", run, "--samples", str(tmp_path / f"{name}.safetensors")), name
    assert main(["evaluate", run, "--samples", str(tmp_path / "nan.safetensors")]) == 3
    assert "30 of 30 samples in" in capsys.readouterr().err
    assert "holds 0 images" in refused("evaluate", run, "--samples", str(tmp_path / "run" / "checkpoints"))
    assert "no extractor is called 'pixel'; did you mean 'pixels'?" in refused("evaluate", run, "--extractor", "pixel")
    assert "count is between 12" in refused("evaluate", run, "--count", "3")
    assert not (tmp_path / "run" / "evaluate").exists()
