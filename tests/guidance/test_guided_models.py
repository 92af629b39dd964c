"""Guidance by name, on a model and on the command line: the weights, the rows of the network, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from sde_diffusion import data
from sde_diffusion.cli.main import main
from sde_diffusion.denoisers import CallCounter
from sde_diffusion.exact import ClassDenoiser, Mixture, MixtureOfClasses
from sde_diffusion.guidance import ClassifierFree
from sde_diffusion.model import DiffusionModel
from sde_diffusion.sde import VP
from sde_diffusion.standardization import Standardization

CLASSES = MixtureOfClasses(Mixture([0.5, 0.5], [[-0.5, 0.0], [0.5, 0.0]], 0.4**2), [0, 1])


def exact_model() -> DiffusionModel:
    standard = Standardization(torch.tensor([3.0, -2.0]), torch.tensor([2.0, 0.5]))
    model = DiffusionModel(VP(), ClassDenoiser(CLASSES), (2,), standard, ("left", "right"))
    model.denoiser.own = torch.nn.Parameter(torch.zeros((), dtype=torch.float64))  # a model that computes in float64
    return model


def test_a_guided_model_samples_scores_and_encodes_with_the_guided_denoiser():
    model = exact_model()
    guided = model.guided("cfg(weight=3)")
    assert isinstance(guided.denoiser, ClassifierFree)
    assert guided.denoiser.denoiser is model.denoiser
    drawn = guided.sample(300, label="left", nfe=20)
    assert drawn[:, 0].mean() < model.sample(300, label="left", nfe=20)[:, 0].mean() - 0.1
    x = torch.tensor([[2.0, -2.0]])
    one = model.guided("cfg(weight=1)")
    assert torch.equal(one.log_prob(x, label="left").value, model.log_prob(x, label="left").value)
    assert guided.log_prob(x, label="left").value != model.log_prob(x, label="left").value
    assert torch.equal(one.encode(x, label="left"), model.encode(x, label="left"))


def test_labels_of_each_sample_under_guidance_are_those_of_one_class():
    guided = exact_model().guided("ramped_cfg(weight=3)")
    mixed = guided.sample(6, label=[0, 1, 1, 0, 1, 0], nfe=10)
    left, right = (guided.sample(6, label=label, nfe=10) for label in (0, 1))
    picked = torch.tensor([0, 1, 1, 0, 1, 0], dtype=torch.bool).unsqueeze(1)
    torch.testing.assert_close(mixed, torch.where(picked, right, left), rtol=0, atol=1e-12)


@pytest.mark.parametrize("given", [{"guidance": 2}, {"guidance_scale": 7.5}, {"cfg_scale": 3}], ids=str)
def test_the_names_of_other_programs_are_told_ours(given):
    with pytest.raises(TypeError, match="guided"):
        exact_model().sample(2, label="left", **given)
    with pytest.raises(ValueError, match="weight=2"):
        exact_model().guided(2)  # pyright: ignore[reportArgumentType]


def test_a_function_of_the_denoiser_is_a_guidance_too():
    counted: list[CallCounter] = []

    def counter(denoiser):
        counted.append(CallCounter(denoiser))
        return ClassifierFree(counted[-1], 2.0)

    exact_model().guided(counter).sample(5, label=0, nfe=7, chunk=5)
    assert (counted[0].calls, counted[0].rows) == (7, 70)


def samples(folder: Path) -> Tensor:
    return load_file(folder / "samples.safetensors")["x"]


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    """A small conditional run on the digits, and an earlier one of the same kind as the bad version."""
    place = tmp_path_factory.mktemp("guided")
    common = ["--network", "mlp(width=16, depth=1, classes=10)", "--training.batch_size", "32", "--device", "cpu"]
    quiet = ["--watch.held_out_every", "0", "--watch.levels_every", "0", "--watch.pictures_every", "0"]
    for name, steps in (("run", "24"), ("bad", "4")):
        assert main(["train", *common, *quiet, "--training.steps", steps, "--output", str(place / name)]) == 0
    return place


def sampled(run: Path, *more: str) -> tuple[Tensor, dict]:
    output = run / "out" / str(len(list((run / "out").glob("*"))) if (run / "out").exists() else 0)
    words = [
        "sample",
        str(run / "run"),
        "--count",
        "6",
        "--chunk",
        "6",
        "--nfe",
        "5",
        "--label",
        "3",
        "--device",
        "cpu",
    ]
    assert main([*words, *more, "--output", str(output)]) == 0
    return samples(output), json.loads((output / "samples.json").read_text())


def test_on_the_command_line(run, capsys):
    plain, cost = sampled(run)
    assert cost["evaluations"] == 5
    one, cost = sampled(run, "--guidance", "cfg(weight=1)")
    assert cost["evaluations"] == 5
    assert torch.equal(one, plain)
    three, cost = sampled(run, "--guidance", "cfg(weight=3, interval=[0, 1e9])")
    assert cost["evaluations"] == 10
    assert not torch.equal(three, plain)
    model = DiffusionModel.load(run / "run", device="cpu")
    expected = model.guided(lambda denoiser: ClassifierFree(denoiser, 3.0)).sample(6, label=3, nfe=5, chunk=6)
    assert torch.equal(three, expected)
    itself, cost = sampled(run, "--guidance", f"autoguidance(bad={run / 'run'}, weight=2)")
    torch.testing.assert_close(itself, plain)
    other, _ = sampled(run, "--guidance", f"autoguidance(bad={run / 'bad'}, weight=2)")
    assert not torch.allclose(other, plain, atol=1e-3)
    assert main(["info", "--kind", "guidance"]) == 0
    assert all(name in capsys.readouterr().out for name in ("cfg",))


def test_samples_of_two_guidances_lie_in_two_folders(run, tmp_path):
    place = Path(shutil.copytree(run / "run", tmp_path / "run"))
    for weight in (2, 3):
        words = ["sample", str(place), "--count", "2", "--nfe", "2", "--label", "3", "--device", "cpu"]
        assert main([*words, "--guidance", f"cfg(weight={weight})"]) == 0
    found = [samples(folder) for folder in sorted((place / "samples").iterdir())]
    assert len(found) == 2
    assert not torch.equal(*found)


@pytest.mark.parametrize(
    ("guidance", "words"),
    [
        ("cgf(weight=3)", "no guidance is called 'cgf'"),
        ("classifier_free(weight=3)", "cfg"),
        ("cfg", "needs 'weight'; write cfg(weight=...)"),
        ("cfg(scale=3)", "takes no 'scale'"),
        ("cfg(weight=3, interval=[2, 1])", "low < high"),
        ("autoguidance(weight=3)", "needs 'bad'"),
        ("autoguidance(weight=3, bad=nowhere)", "nowhere"),
    ],
)
def test_what_is_refused(run, capsys, guidance, words):
    before = sorted(run.rglob("*"))
    assert main(["sample", str(run / "run"), "--label", "3", "--guidance", guidance, "--device", "cpu"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert sorted(run.rglob("*")) == before


def test_guidance_without_a_label_says_what_to_give(run, capsys):
    before = sorted(run.rglob("*"))
    assert main(["sample", str(run / "run"), "--guidance", "cfg(weight=3)", "--device", "cpu", "--count", "2"]) == 2
    assert "such as --label 3" in capsys.readouterr().err
    assert sorted(run.rglob("*")) == before


def test_a_guided_model_is_neither_fitted_nor_saved(tmp_path):
    model = DiffusionModel.for_data(data.by_name("digits").tensors("train")[0][:64], width=16)
    with pytest.raises(TypeError, match="give the denoiser within"):
        model.guided("cfg(weight=2)").save(tmp_path / "saved")
    with pytest.raises(TypeError, match="afterwards"):
        model.guided("cfg(weight=2)").fit(data.by_name("digits").tensors("train")[0][:64], steps=1)
    assert not (tmp_path / "saved").exists()
