"""Skipped steps are summed up at the end of a run, and a model that no step has changed is said to be untrained."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace

import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.cli import factories
from sde_diffusion.cli.main import main
from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.evaluation.training_blocks import skipped
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import RunFolder, TrainSettings, fit
from tests.cli.conftest import TINY

X = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
SHORT = {"steps": 4, "batch_size": 8, "log_every": 2, "device": "cpu"}
CPU = ["--device", "cpu"]


class Spoilt:
    """The usual loss, NaN at some steps."""

    def __init__(self, *steps: int) -> None:
        self.steps = set(steps)

    def fingerprint(self):
        return "the usual loss"

    def __call__(self, denoiser, sde, batch, generator, run):
        losses = DenoisingScoreMatching()(denoiser, sde, batch.x, generator, **batch.condition)
        return losses * float("nan") if run.step in self.steps else losses


def untrained() -> DiffusionModel:
    return DiffusionModel.for_data(X, width=8, depth=1)


def silent(ask) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ask()


def test_a_model_without_a_step_says_so_and_a_trained_one_does_not():
    model = untrained()
    for ask in (
        lambda: model.sample(2, nfe=3),
        lambda: model.log_prob(X[:2], tol=0.5),
        lambda: model.encode(X[:2], nfe=3),
    ):
        with pytest.warns(UserWarning, match="this model is untrained: no training step has changed its weights"):
            ask()
    silent(lambda: model.fit(X, **SHORT).sample(2, nfe=3))
    silent(
        lambda: DiffusionModel.for_data(X, network=TimeMLP(2, width=8)).sample(2, nfe=3)
    )  # it may come from anywhere


def test_python_shows_it_once(capsys):
    model = untrained()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("default")
        for _ in range(3):
            model.sample(2, nfe=3)
        model.encode(X[:2], nfe=3)
    assert len(said) == 1


@pytest.mark.parametrize(("steps", "words"), [((0, 2), "2 of 4 training steps were skipped.*changes nothing$"),
                                              (range(4), "4 of 4 .*: the model is untrained; lower the learning rate")])  # fmt: skip
def test_skipped_steps_are_summed_up(tmp_path, steps, words):
    denoiser = Preconditioned(TimeMLP(2, width=8, depth=1), EDMPreconditioning(1.0))
    with pytest.warns(UserWarning, match=words) as said:
        fit(denoiser, VP(), X, TrainSettings(steps=4, batch_size=8, log_every=3), objective=Spoilt(*steps),
            folder=tmp_path / "run", device="cpu")  # fmt: skip
    assert len(said) == 1
    assert skipped(RunFolder(tmp_path / "run"))[0].startswith(f"{len(steps)} of 4 training steps")


def test_a_run_of_which_every_step_was_skipped_stays_untrained(tmp_path):
    """In memory, when it is asked for again, loaded, saved and loaded again; more steps cure it."""
    run = tmp_path / "run"
    ways = {
        "fitted": lambda: untrained().fit(X, folder=run, objective=Spoilt(*range(4)), **SHORT),
        "finished at once": lambda: untrained().fit(X, folder=run, objective=Spoilt(*range(4)), **SHORT),
        "loaded": lambda: DiffusionModel.load(run, device="cpu"),
        "shared": lambda: DiffusionModel.load(DiffusionModel.load(run, device="cpu").save(tmp_path / "shared"), device="cpu"),
    }  # fmt: skip
    for name, way in ways.items():
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            model = way()
        assert model.trained is False, name
        assert ("untrained" in " ".join(str(one.message) for one in said)) == (name != "finished at once")
        with pytest.warns(UserWarning, match="untrained"):
            model.sample(2, nfe=3)
    with pytest.warns(UserWarning, match="4 of 6 training steps"):
        model = untrained().fit(X, folder=run, objective=Spoilt(*range(4)), **{**SHORT, "steps": 6})
    assert model.trained is True
    silent(lambda: DiffusionModel.load(run, device="cpu").sample(2, nfe=3))


def test_a_trained_model_stays_trained():
    model = untrained().fit(X, **SHORT)
    with pytest.warns(UserWarning, match="4 of 4"):
        model.fit(X, objective=Spoilt(*range(4)), **SHORT)
    assert model.trained is True
    assert replace(model, trained=None).trained is None


def test_the_command_line_says_it(tmp_path, monkeypatch, capsys):
    """`train` at its end; every command that reads the run, once."""
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("default")
        patch.setattr(factories, "objective", lambda *_: Spoilt(*range(99)))
        assert (
            main(
                [
                    "train",
                    *TINY,
                    "--training.max_consecutive_skips",
                    "50",
                    "--watch.pictures_every",
                    "0",
                    "--output",
                    "run",
                ]
            )
            == 0
        )
        said = capsys.readouterr().err.splitlines()
        assert [line for line in said if "12 of 12 training steps were skipped" in line and "warning" in line]
        assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
        for words in (["sample", "run", "--count", "4", "--chunk", "2", "--steps", "2", *CPU], ["export", "run", "shared"],
                      ["sample", "shared", "--count", "2", "--steps", "2", *CPU, "--output", "out"]):  # fmt: skip
            assert main(words) == 0
            assert capsys.readouterr().err.count("this model is untrained") == 1, words
