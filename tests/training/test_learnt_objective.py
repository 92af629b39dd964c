"""An objective that learns: trained with the model, kept in the checkpoints, resumed to the last bit, rolled back too."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.objectives import LearnedUncertainty
from sde_diffusion.sde import VP
from sde_diffusion.training import CheckpointError, load, train
from sde_diffusion.training.checkpoints.checkpoint import Checkpoint, checkpoints, save
from sde_diffusion.training.settings import ComputeSettings
from tests.training.left_behind import contents


def test_a_run_that_stopped_goes_on_to_the_last_bit(run, same, tmp_path):
    whole = run(tmp_path / "straight", LearnedUncertainty())
    whole.go()
    for k in (1, 5):
        folder = tmp_path / f"stopped {k}"
        run(folder, LearnedUncertainty()).go(reports=k)
        second = run(folder, LearnedUncertainty())
        second.go()
        assert same(second.weights(), whole.weights())
        assert same(contents(folder), contents(tmp_path / "straight"))
        assert same(dict(second.objective.state_dict()), dict(whole.objective.state_dict()))
    kept = contents(tmp_path / "straight")["objective"]
    assert same(kept, dict(whole.objective.state_dict()))
    assert kept["shift"].abs() > 0  # it has learnt something
    assert kept["gains"].abs().max() > 0


def test_what_it_has_learnt_decides_the_steps_to_come(run, same, tmp_path):
    """Zeroed in a checkpoint, it gives another run: a resumption that forgot it would be seen."""
    straight = run(tmp_path / "straight", LearnedUncertainty())
    straight.go()
    run(tmp_path / "stopped", LearnedUncertainty()).go(reports=5)
    good = load(checkpoints(tmp_path / "stopped" / "checkpoints")[5])
    poor = vars(good) | {"objective": {name: value * 0 for name, value in good.objective.items()}}
    save(tmp_path / "poor" / "checkpoints", Checkpoint(**poor))
    second = run(tmp_path / "poor", LearnedUncertainty())
    second.go()
    assert not same(second.weights(), straight.weights())


def test_a_checkpoint_without_it_is_of_another_run(run, tmp_path):
    """The fingerprint of the runs of these tests is the usual one, so that the tensors alone tell them apart."""
    run(tmp_path / "plain").go(reports=2)
    with pytest.raises(CheckpointError, match="gains is absent there"):
        run(tmp_path / "plain", LearnedUncertainty()).go()


def test_the_shares_of_a_model_are_refused(run):
    learning = run(None, LearnedUncertainty(), gradient_accumulation=2)
    world = SimpleNamespace(size=2, rank=0)
    with pytest.raises(ValueError, match="take engine='replicated'"):
        train(
            learning.denoiser, VP(), learning.data, learning.settings, objective=learning.objective, world=world,  # pyright: ignore
            compute=ComputeSettings(engine="sharded"),
        )  # fmt: skip


def test_a_run_of_a_model_names_it_and_is_opened_without_it(tmp_path):
    """What is sampled is the network alone: the folder of the run loads and samples as any other."""
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
    model = DiffusionModel.for_data(x, width=16, depth=1)
    model.fit(x, steps=3, batch_size=16, folder=tmp_path / "run", objective=LearnedUncertainty(), device="cpu")
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["objective"]["name"] == "learned_uncertainty"
    assert config["objective"]["times"]["name"] == "log_normal_level"
    again = DiffusionModel.load(tmp_path / "run", device="cpu")
    torch.testing.assert_close(again.sample(3, nfe=3), model.sample(3, nfe=3), rtol=0, atol=0)
