"""Averages of any length from the command line: a folder in the place of a run, and a sweep over lengths."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import load_model, objective_of, standardised_data_of
from sde_diffusion.evaluation.average_sweep import held_out_losses
from sde_diffusion.training.ema.post_hoc import fit, reconstruct
from tests.cli.conftest import TINY


@pytest.fixture(scope="module")
def snapped(tmp_path_factory) -> Path:
    """A run of 12 steps that is told the labels, with a snapshot each two steps."""
    folder = tmp_path_factory.mktemp("average") / "digits"
    more = ["--network.classes", "10", "--training.snapshot_every", "2", "--training.snapshot_lengths", "[0.1, 0.05]"]
    assert main(["train", *TINY, *more, "--output", str(folder)]) == 0
    return folder


@pytest.mark.parametrize(("length", "step"), [(0.08, None), (0.15, 8)])
def test_an_average_stands_in_the_place_of_a_run(snapped, tmp_path, capsys, length, step):
    asked = [] if step is None else ["--step", str(step)]
    assert (
        main(["average", str(snapped), "--sigma_rel", str(length), *asked, "--output", str(tmp_path / "shared")]) == 0
    )
    said = " ".join(capsys.readouterr().out.split())
    found = fit(snapped, length, step)
    assert f"sigma_rel {length} after step {step or 12}, from {(step or 12) // 2} snapshots" in said
    assert f"differs from the wanted one by {100 * found.residual:.2g}%" in said
    assert f"The weights are averaged with sigma_rel {length} " in (tmp_path / "shared/README.md").read_text()
    shared, run = (load_model(path, device_of("cpu")) for path in (tmp_path / "shared", snapped))
    for name, value in reconstruct(snapped, length, step).items():
        assert torch.equal(value, shared.denoiser.state_dict()[name])
    assert not torch.equal(*(next(one.denoiser.parameters()) for one in (shared, run)))
    assert (shared.run, shared.sde, shared.event_shape) == (run.run, run.sde, run.event_shape)
    assert (shared.standardization.as_dict(), shared.mean, shared.std) == (run.standardization.as_dict(), 0, 1)
    assert (shared.class_names, shared.levels, shared.data_digest) == (run.class_names, run.levels, run.data_digest)
    assert (tmp_path / "shared/profile.png").stat().st_size > 5000
    drawn = ["--count", "3", "--chunk", "3", "--steps", "3", "--label", "2", "--device", "cpu"]
    assert main(["sample", str(tmp_path / "shared"), *drawn, "--output", str(tmp_path / "x")]) == 0
    assert load_file(tmp_path / "x/samples.safetensors")["x"].isfinite().all()


def test_a_sweep_is_the_held_out_loss_of_each(snapped, tmp_path):
    asked = ["average", str(snapped), "--sweep", "[0.2, 0.05, 0.1]", "--draws", "2", "--device", "cpu"]
    for name in ("a", "b"):
        assert main([*asked, "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a/lengths.json").read_bytes() == (tmp_path / "b/lengths.json").read_bytes()
    told = json.loads((tmp_path / "a/lengths.json").read_bytes())
    model = load_model(snapped, device_of("cpu"))
    x, labels = standardised_data_of(model).tensors("held_out")
    usual = held_out_losses(model, model.denoiser, objective_of(model), x, labels, 2, 0)
    assert told["lengths"][-1]["loss"] == pytest.approx(usual.mean().item(), rel=1e-12)
    losses = []
    for row in told["lengths"][:-1]:
        model.denoiser.load_state_dict(reconstruct(snapped, row["sigma_rel"]))
        losses.append(held_out_losses(model, model.denoiser, objective_of(model), x, labels, 2, 0))
        assert row["loss"] == pytest.approx(losses[-1].mean().item(), rel=1e-12)
    best = min(losses, key=lambda loss: loss.mean().item())
    for row, loss in zip(told["lengths"], [*losses, usual], strict=True):
        assert row["above_best"] == pytest.approx((loss - best).mean().item(), abs=1e-12)
        assert row["standard_error"] == pytest.approx((loss - best).std().item() / len(x) ** 0.5, abs=1e-12)
    assert [row["sigma_rel"] for row in told["lengths"]] == [0.05, 0.1, 0.2, None]
    assert told["best"] == [0.05, 0.1, 0.2][losses.index(best)]
    assert (tmp_path / "a/lengths.png").stat().st_size > 5000


def test_the_losses_are_those_of_the_labels(snapped):
    model = load_model(snapped, device_of("cpu"))
    x, labels = standardised_data_of(model).tensors("held_out")
    true, other = (
        held_out_losses(model, model.denoiser, objective_of(model), x, told, 1, 0) for told in (labels, labels.flip(0))
    )
    assert true.shape == (24,)
    assert not torch.equal(true, other)


def test_refusals(snapped, trained, refused, tmp_path):
    run = str(snapped)
    assert "no snapshots" in refused("average", str(trained), "--sigma_rel", "0.1")
    assert "either --sigma_rel" in refused("average", run)
    assert "either --sigma_rel" in refused("average", run, "--sigma_rel", "0.1", "--sweep", "[0.1, 0.2]")
    assert "at least two lengths" in refused("average", run, "--sweep", "[0.1]")
    assert "nearest is 4" in refused("average", run, "--sigma_rel", "0.1", "--step", "5")
    assert "sigma_rel lies in" in refused("average", run, "--sweep", "[0.1, 0.5]")
    assert "draws is between" in refused("average", run, "--sweep", "[0.1, 0.2]", "--draws", "0")
    (tmp_path / "there").mkdir()
    assert "exists already" in refused("average", run, "--sigma_rel", "0.1", "--output", str(tmp_path / "there"))
    assert list((tmp_path / "there").iterdir()) == []


def test_a_damaged_snapshot_is_refused(snapped, refused, tmp_path):
    shutil.copytree(snapped, tmp_path / "run")
    path = tmp_path / "run/snapshots/step-000004/sigma-0.05.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "sigma-0.05.safetensors is damaged" in refused("average", str(tmp_path / "run"), "--sigma_rel", "0.1")
    assert not (tmp_path / "run/averages").exists()
