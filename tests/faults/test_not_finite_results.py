"""Weights that are NaN, infinite, or so large that the network overflows: exit code 3 and one sentence, from every command
that reads a run; a FloatingPointError in Python. `test_not_finite.py` is about training.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sde_diffusion import DiffusionModel
from sde_diffusion.cli.exit_codes import NOT_FINITE, REFUSED, exit_code
from sde_diffusion.cli.main import main
from sde_diffusion.denoisers import Denoiser
from sde_diffusion.io.finite import finite_rows
from sde_diffusion.likelihood import LogProb
from sde_diffusion.reversal import probability_flow
from sde_diffusion.sampling import sample, sample_chunks
from sde_diffusion.sde import VP
from sde_diffusion.training.checkpoints import manifest
from solvers import FixedGrid, Heun
from solvers.adaptive import Adaptive
from solvers.elementwise import along
from solvers.methods.dopri5 import Dopri5
from tests.cli.conftest import TINY, few_resamples, trained  # noqa: F401

CPU = ["--device", "cpu"]
SNAPSHOTS = ["--training.snapshot_every", "4", "--training.snapshot_lengths", "[0.1, 0.05]"]
COMMANDS = {
    "sample": ["sample", "RUN", "--count", "2", "--chunk", "2", "--steps", "2", *CPU],
    "sample adaptively": ["sample", "RUN", "--count", "2", "--chunk", "2", "--sampler", "adaptive_ode", *CPU],
    "sample stochastically": ["sample", "RUN", "--count", "2", "--sampler", "adaptive_sde", "--tol", "1e-2", *CPU],
    "evaluate": ["evaluate", "RUN", "--steps", "2", "--extractor", "pixels", *CPU],
    "compare": ["compare", "RUN", "--samplers", "data_adams", "--budgets", "2", *CPU],
    "likelihood": ["likelihood", "RUN", "--count", "2", "--steps", "2", "--paths", "2", "--tol", "0.5", *CPU],
    "anomalies": ["anomalies", "RUN", "--count", "12", "--tol", "1.0", *CPU],
    "average --sweep": ["average", "RUN", "--sweep", "0.05", "0.1", "--draws", "1", *CPU],
    "tune": ["tune", "RUN", "--nfe", "3", "--iterations", "1", "--trajectories", "8", "--reference", "8", *CPU],
}  # fmt: skip
READERS = {
    **COMMANDS,
    "average": ["average", "RUN", "--sigma_rel", "0.05"],
    "export": ["export", "RUN", "exported"],
    "train": ["train", *TINY, *SNAPSHOTS, "--training.steps", "16", "--output", "RUN"],
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("spoilt") / "run"
    assert main(["train", *TINY, *SNAPSHOTS, "--output", str(folder)]) == 0
    return folder


def spoilt(run: Path, folder: Path, factor: float) -> Path:
    """A copy of the run whose weights are multiplied, under manifests that vouch for them."""
    copy = Path(shutil.copytree(run, folder))
    for place in [*copy.glob("checkpoints/*"), *copy.glob("snapshots/*")]:
        for file in place.glob("*.safetensors"):
            if file.name != "optimizer.safetensors":
                save_file(
                    {name: value * factor if value.ndim == 2 else value for name, value in load_file(file).items()},
                    file,
                )
        (place / manifest.NAME).unlink()
        manifest.write(place, int(place.name.removeprefix("step-")))
    return copy


@pytest.fixture(scope="module")
def spoilt_runs(run, tmp_path_factory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("runs")
    factors = {"nan": float("nan"), "inf": float("inf"), "overflow": 1e30}
    return {name: spoilt(run, home / name, factor) for name, factor in factors.items()}


def refused_with_3(source: Path, words: list[str], capsys) -> str:
    """The last line that the command said."""
    assert main([str(source) if word == "RUN" else word for word in words]) == 3
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("sde-diffusion: ")
    assert "NaN or infinite" in said
    return said


@pytest.mark.parametrize("command", READERS)
def test_weights_are_looked_at_when_they_are_read(spoilt_runs, tmp_path, monkeypatch, capsys, command):
    """Before any work, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    for kind in ("nan", "inf"):
        before = sorted(spoilt_runs[kind].rglob("*"))
        said = refused_with_3(spoilt_runs[kind], READERS[command], capsys)
        assert ".safetensors: " in said or "snapshots: " in said
        assert sorted(spoilt_runs[kind].rglob("*")) == before
    assert not (tmp_path / "exported").exists()


@pytest.mark.parametrize(
    "command", [pytest.param(name, marks=[pytest.mark.slow] * (name in ("compare", "anomalies"))) for name in COMMANDS]
)
def test_what_overflows_is_looked_at_when_it_leaves(spoilt_runs, tmp_path, monkeypatch, capsys, command):
    """No result is written."""
    monkeypatch.chdir(tmp_path)
    said = refused_with_3(spoilt_runs["overflow"], COMMANDS[command], capsys)
    assert ".safetensors: " not in said
    left = {path.name for path in spoilt_runs["overflow"].rglob("*") if path.is_file()}
    assert not left & {"samples.safetensors", "evaluation.json", "comparison.json", "likelihood.json", "anomalies.json"}
    assert not [name for name in left if name.startswith(("tuned", "lengths"))]


def test_shared_weights_are_looked_at(run, tmp_path, monkeypatch, capsys):
    """Also those that are finite in the file's own dtype, and not in the network's."""
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(run), "shared"]) == 0
    good = load_file("shared/model.safetensors")
    for value, dtype in ((float("nan"), torch.float32), (float("-inf"), torch.float16), (1e300, torch.float64)):
        weights = {name: tensor.to(dtype) for name, tensor in good.items()}
        weights[min(weights)].flatten()[-1] = value
        save_file(weights, "shared/model.safetensors")
        capsys.readouterr()
        assert main(["sample", "shared", "--count", "2", *CPU]) == 3
        assert "shared/model.safetensors: 1 of " in capsys.readouterr().err
        with pytest.raises(FloatingPointError, match="NaN or infinite"):
            DiffusionModel.load("shared", device="cpu")


class Broken(Denoiser):
    """NaN for samples whose first coordinate is below a number, below some noise level."""

    def __init__(self, value: float, at: float = 9.0) -> None:
        super().__init__()
        self.value, self.at = value, at

    def forward(self, x_t, kernel, **condition):
        low = along(torch.as_tensor(kernel.sigma / kernel.alpha), x_t) < self.at
        return torch.where(low & (x_t[:, :1] < 0), self.value, x_t)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_samples_are_looked_at_when_they_leave(value):
    """All of them, or those of a chunk; how many there are and which is the first."""
    reversal, solver = probability_flow(VP(), Broken(value)), FixedGrid(Heun(), 3)
    with pytest.raises(
        FloatingPointError, match=r"of 6 samples are NaN or infinite, the first is number 1\d"
    ) as caught:
        sample(reversal, solver, (6, 2), first=10)
    found = int(str(caught.value).split(" ")[0])
    assert 0 < found < 6
    chunks = sample_chunks(reversal, solver, (300, 2), chunk=1)
    with pytest.raises(FloatingPointError, match="1 of 1 samples"):
        list(chunks)


def test_a_network_of_ones_own(tmp_path):
    """Its weights are nobody's before the first sample."""
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    model = DiffusionModel.for_data(x, network=Broken(float("nan")))
    for ask in (lambda: model.sample(4, nfe=4), lambda: model.sample(4, "euler_maruyama", steps=3), lambda: model.encode(x),
                lambda: model.log_prob(x)):  # fmt: skip
        with pytest.raises(FloatingPointError, match="NaN or infinite"):
            ask()
    replace(model, denoiser=Broken(0.0)).sample(4, nfe=4)


def test_an_adaptive_solver_says_so_at_the_start():
    with pytest.raises(FloatingPointError, match="NaN or infinite at the start"):
        sample(probability_flow(VP(), Broken(float("nan"), float("inf"))), Adaptive(Dopri5()), (4, 2))


def test_log_probabilities_and_rows():
    fine = torch.zeros(3)
    assert LogProb(fine, 2, {"probes": fine}).value is fine
    for value, error in ((fine.log(), fine), (fine, fine / 0), (fine * float("nan"), fine)):
        with pytest.raises(FloatingPointError, match="of 3 of 3 points"):
            LogProb(value, 2, {"probes": error})
    for shape in ((0, 2), (0,), (3,), (3, 0)):
        assert finite_rows(torch.ones(shape), "numbers").shape == shape


def test_a_solver_that_gives_up_is_a_refusal():
    """No traceback; what is a bug stays one."""
    with pytest.raises(ArithmeticError, match="after 3 attempts") as caught:
        sample(probability_flow(VP(), Broken(0.0)), Adaptive(Dopri5(), 1e-9, 1e-9, max_attempts=3), (4, 2))
    assert exit_code(caught.value) == REFUSED
    assert exit_code(FloatingPointError("x")) == NOT_FINITE
    assert exit_code(ZeroDivisionError("x")) is None
