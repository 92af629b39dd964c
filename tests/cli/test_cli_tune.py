"""`tune` writes a file that `sample` and `compare` take by its name, and refuses what it cannot do."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model
from sde_diffusion.cli.sampler_specs import samplers
from sde_diffusion.evaluation.generate import at_budgets
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sampling.tuned import Tuned
from tests.cli.conftest import TINY

QUICK = ["--nfe", "3", "--iterations", "4", "--trajectories", "24", "--reference", "40", "--device", "cpu"]


@pytest.fixture(scope="session")
def tuned_file(trained, tmp_path_factory):
    """A solver of three evaluations for the shared run."""
    file = tmp_path_factory.mktemp("tuned") / "three.json"
    assert main(["tune", str(trained), *QUICK, "--out", str(file)]) == 0
    return file


def test_the_file_says_what_it_was_tuned_on(trained, tuned_file):
    record, model = Tuned.load(tuned_file).record, load_model(trained, device_of("cpu"))
    assert record["process"] == repr(model.sde)
    assert record["model"] == f"run {trained.name}"
    assert record["data_std"] == model.std
    assert record["trained_on_samples"] == [0, 24]
    assert record["held_out_distance_after"] < 0.5 * record["held_out_distance_before"]


def test_its_samples_are_those_of_the_library_bit_for_bit(trained, tuned_file, tmp_path, capsys):
    asked = ["--count", "6", "--chunk", "6", "--seed", "5", "--output", str(tmp_path / "out"), "--device", "cpu"]
    assert main(["sample", str(trained), "--sampler", str(tuned_file), *asked]) == 0
    assert "6 samples, 3 evaluations each" in capsys.readouterr().out
    model, tuned = load_model(trained, device_of("cpu")), Tuned.load(tuned_file)
    reversal = tuned.reversal(model.sde, model.denoiser).with_prior(model.prior)
    wanted = model.standardization.from_standard(sample(reversal, tuned.solver(), (6, *model.event_shape), 5, chunk=6))
    assert torch.equal(load_file(tmp_path / "out" / "samples.safetensors")["x"], wanted)


def test_it_is_compared_at_its_own_cost(tuned_file):
    """The budgets are for samplers that have the choice."""
    tried = list(at_budgets(samplers(["data_adams", str(tuned_file)]), [4, 5]))
    assert [(recipe.label, recipe.steps) for recipe in tried] == [("dpmpp_2m", 3), ("dpmpp_2m", 4), ("three", 3)]


def test_another_run_or_budget_is_refused(trained, tuned_file, refused, tmp_path):
    file = str(tuned_file)
    assert "tuned to 3 evaluations" in refused("sample", str(trained), "--sampler", file, "--steps", "4")
    other = tmp_path / "other"
    assert main(["train", *TINY, "--sde", "edm", "--training.steps", "2", "--output", str(other)]) == 0
    assert "tuned on VP" in refused("sample", str(other), "--sampler", file, "--output", str(tmp_path / "out"))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["tune"], "run"),
        (["tune", "nowhere"], "there is no run"),
        (["tune", "x", "--nfe", "1"], "nfe is between"),
        (["tune", "x", "--trajectories", "0"], "trajectories is between"),
        (["tune", "x", "--out", "solver.txt"], "ends in .json"),
    ],
)
def test_bad_input_is_refused(refused, arguments, says):
    assert says in refused(*arguments)


def test_a_file_that_is_none_is_refused(trained, refused, tmp_path):
    (tmp_path / "half.json").write_text('{"format"')
    assert "no whole tuned solver" in refused("sample", str(trained), "--sampler", "half.json")
    assert "no such file" in refused("sample", str(trained), "--sampler", "none.json")
    assert "there is no folder" in refused("tune", str(trained), *QUICK, "--out", "nowhere/solver.json")
