"""The commands that ask what a run knows: figures that agree with the library's, plots, and refusals."""

from __future__ import annotations

import json
import math

import pytest
import torch
from PIL import Image

from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model
from sde_diffusion.data import by_name
from sde_diffusion.likelihood import log_likelihood

FEW = ["--count", "3", "--steps", "4", "--paths", "2", "--tol", "0.5"]


def test_likelihood_of_a_run_on_the_plane(tmp_path, monkeypatch, capsys):
    """Continuous data: the flow's mean is the library's, and the picture and the parts are there."""
    monkeypatch.chdir(tmp_path)
    tiny = ["--network.width", "16", "--training.steps", "4", "--training.batch_size", "32", "--data.count", "80"]
    assert main(["train", "--data", "two_gaussians", *tiny, "--output", "run"]) == 0
    assert main(["likelihood", "run", "--count", "8", "--steps", "4", "--paths", "2", "--tol", "0.001"]) == 0
    found = json.loads((tmp_path / "run" / "likelihood" / "likelihood.json").read_text())
    assert set(found) == {"flow", "ELBO", "IWAE(2)"}
    model = load_model(tmp_path / "run", device_of("cpu"))
    x = by_name("two_gaussians", count=80).tensors("held_out")[0][:8]
    z = model.to_standard(x)
    again = log_likelihood(model.sde, model.denoiser, z, 0.001, prior=model.prior, data_std=model.std)
    again = model.in_data_units(again)
    assert found["flow"]["bits_per_dim"] == pytest.approx(-again.value.mean().item() / (2 * math.log(2)), rel=1e-5)
    assert set(found["flow"]["errors_of_an_example"]) == {"probes", "tolerance", "prior", "truncation"}
    assert "standard error" in capsys.readouterr().out
    with Image.open(tmp_path / "run" / "likelihood" / "likelihood.png") as picture:
        assert picture.width > 1000


def test_likelihood_of_quantised_data_has_a_dequantisation_error(copied):
    assert main(["likelihood", str(copied), *FEW]) == 0
    found = json.loads((copied / "likelihood" / "likelihood.json").read_text())
    assert set(found["flow"]["errors_of_an_example"]) == {"dequantisation", "probes", "tolerance"}
    assert 0 < found["flow"]["bits_per_dim"] < found["IWAE(2)"]["bits_per_dim"] < found["ELBO"]["bits_per_dim"]


def test_anomalies_of_digits_against_digits_and_noise(copied):
    """The run's own data against itself: p-values in (0, 1], those of the held-out part as large as calibration allows."""
    asked = ["--count", "12", "--tol", "1.0"]
    assert main(["anomalies", str(copied), *asked]) == 0
    found = json.loads((copied / "anomalies" / "anomalies.json").read_text())
    assert set(found) == {"likelihood", "typicality", "reconstruction", "denoising"}
    for by_set in found.values():
        values = torch.tensor([p for column in by_set.values() for p in column])
        assert values.min() > 0
        assert values.max() <= 1
    assert (copied / "anomalies" / "anomalies.png").exists()


def test_what_cannot_be_judged_is_refused(copied, refused):
    assert "choose data of its shape" in refused("anomalies", str(copied), "--data", "moons")
    assert "count is between 12" in refused("anomalies", str(copied), "--count", "2")
    assert "paths is between 2" in refused("likelihood", str(copied), "--paths", "1")
    assert "tolerance is positive" in refused("likelihood", str(copied), "--tol", "0", "--count", "2")
    assert "no run" in refused("likelihood", "nowhere")
