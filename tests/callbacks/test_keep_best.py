"""The best average: which one it is, that it stays, that an interruption changes nothing, and how it is read."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.callbacks import Callback, Every, HeldOut, KeepBest
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.io import json_lines
from sde_diffusion.model import default_objective
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.training import CallbackContext, Progress, TrainSettings
from sde_diffusion.training.checkpoints import best, manifest, snapshots

STEPS = 12


class Numbers(Callback):
    """Finds given numbers, and interrupts at a step."""

    uses_model = False

    def __init__(self, values: dict[int, float], stop: int = 0) -> None:
        self.trigger, self.values, self.stop = Every(1), values, stop

    def on_report(self, context: CallbackContext) -> None:
        if context.step == self.stop:
            raise KeyboardInterrupt
        context.numbers["distance"] = self.values[context.step]


def fitted(folder: Path, *callbacks: Callback, **changes) -> DiffusionModel:
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    model = DiffusionModel.for_data(x, network=None, width=8, depth=1)
    usual = {"steps": STEPS, "batch_size": 8, "learning_rate": 3e-2, "warmup": 0, "checkpoint_every": 5, "log_every": 1}
    settings = TrainSettings(**{**usual, "max_checkpoints": 1, **changes})
    return model.fit(x, folder=folder, settings=settings, callbacks=callbacks)


def kept(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted((folder / "best").rglob("*.*"))}


VALUES = {step: abs(step - 3) + 1.0 for step in range(1, STEPS + 1)}


def test_the_best_average_stays_and_is_loaded_by_name(tmp_path):
    """The smallest number is at step 3 of 12; of the checkpoints one alone stays, the last."""
    weights = {}

    class Seen(Callback):
        trigger = Every(1)

        def on_report(self, context):
            weights[context.step] = {name: value.clone() for name, value in context.model.state_dict().items()}

    newest = fitted(tmp_path / "run", Numbers(VALUES), KeepBest(Every(1), tmp_path / "run", "distance"), Seen())
    assert [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()] == ["step-000012"]
    assert list(manifest.places(tmp_path / "run" / "best")) == [3]
    for asked, step in (("best", 3), ("newest", 12), (None, 12), (12, 12), ("12", 12)):
        model = DiffusionModel.load(tmp_path / "run", checkpoint=asked, device="cpu")
        state = model.denoiser.state_dict()
        assert all(torch.equal(value, weights[step][name]) for name, value in state.items())
    assert not all(
        torch.equal(a, b) for a, b in zip(weights[3].values(), newest.denoiser.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("stop", [2, 4, 7, 9])
def test_an_interrupted_run_keeps_the_same(tmp_path, stop):
    """Stopped while its callbacks are called; the last checkpoint is taken away too, so that steps are done again."""
    keep = KeepBest(Every(1), tmp_path / "whole", "distance")
    fitted(tmp_path / "whole", Numbers(VALUES), keep, max_checkpoints=3)
    again = KeepBest(Every(1), tmp_path / "parts", "distance")
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path / "parts", Numbers(VALUES, stop), again, max_checkpoints=3)
    newest = max((tmp_path / "parts" / "checkpoints").iterdir())
    if stop > 5:
        newest.rename(tmp_path / "lost")
    fitted(tmp_path / "parts", Numbers(VALUES), again, max_checkpoints=3)
    assert kept(tmp_path / "parts") == kept(tmp_path / "whole")
    lines = [json_lines.read(tmp_path / name / "metrics.jsonl") for name in ("parts", "whole")]
    numbers = [[line for line in found if "distance" in line] for found in lines]
    assert [line for line in numbers[1] if line["step"] != stop] == [
        line for line in numbers[0] if line["step"] != stop
    ]


def report(step: int, value: float) -> CallbackContext:
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, step)
    return CallbackContext(Progress(step, 0.5, 1.0, 1e-3, 100.0, 0), model, False, {"distance": value})


@pytest.mark.parametrize("seed", range(8))
def test_going_back_to_any_checkpoint_loses_nothing(tmp_path, seed):
    """Random numbers, 20 random returns to a checkpoint: what is best at the end, and at each checkpoint, is what it was."""
    chance = random.Random(seed)
    values = {step: chance.choice([1.0, 2.0, 3.0, 4.0, 5.0]) + 10 / step for step in range(1, 31)}
    keep, places = KeepBest(Every(1), tmp_path, "distance"), tmp_path / "checkpoints"
    step, returns = 0, 20
    while step < 30:
        step += 1
        if step % 3 == 0 and not (places / f"step-{step:06d}").exists():
            (places / f"step-{step:06d}").mkdir(parents=True)
        keep.on_report(report(step, values[step]))
        if returns and chance.random() < 0.4:
            returns -= 1
            step = chance.choice([0, *manifest.places(places)])
            snapshots.remove_after(tmp_path / "best", step)
            for number, path in manifest.places(places).items():
                if number > step:
                    path.rmdir()
        found = best.best_of(best.all_in(tmp_path / "best"))
        known = {number: value for number, value in values.items() if number <= step}
        assert (found is None) == (step == 0)
        if found is not None:
            assert found.step == min(known, key=lambda number: (known[number], number))


def test_other_numbers_are_not_compared(tmp_path):
    """A value of another meaning, and one that is not finite, neither wins nor loses against those before."""
    KeepBest(Every(1), tmp_path, "distance", "10 samples").on_report(report(1, 1.0))
    KeepBest(Every(1), tmp_path, "distance", "10 samples").on_report(report(2, float("nan")))
    KeepBest(Every(1), tmp_path, "loss", "10 samples").on_report(report(3, 0.1))
    assert [one.step for one in best.all_in(tmp_path / "best")] == [1]
    KeepBest(Every(1), tmp_path, "distance", "20 samples").on_report(report(4, 7.0))
    assert [one.step for one in best.all_in(tmp_path / "best")] == [4]


def test_the_held_out_loss_of_the_best_average_is_the_one_on_record(tmp_path):
    """Few samples, learnt by heart: the loaded best average has the smallest held-out loss of the reports, measured again."""
    unseen = torch.randn(200, 2, generator=torch.Generator().manual_seed(2))
    held_out = HeldOut(Every(1), DiffusionModel.for_data(unseen).sde, default_objective(), unseen)
    fitted(tmp_path / "run", held_out, KeepBest(Every(1), tmp_path / "run"), steps=30)
    losses = {
        line["step"]: line["held_out_loss"]
        for line in json_lines.read(tmp_path / "run" / "metrics.jsonl")
        if "held_out_loss" in line
    }
    step = min(losses, key=lambda one: losses[one])
    assert list(manifest.places(tmp_path / "run" / "best"))[-1] == step
    model = DiffusionModel.load(tmp_path / "run", checkpoint="best", device="cpu")
    assert held_out.measure(model.denoiser)[0] == pytest.approx(losses[step], rel=1e-6)


def test_what_is_not_there_is_refused_in_a_sentence(tmp_path, is_sentence):
    model = fitted(tmp_path / "run", Numbers(VALUES))
    for asked, words in (
        ("best", "no best average"),
        ("newset", "newest, best or one of the steps 12"),
        (7, "one of the steps 12"),
    ):
        with pytest.raises(ValueError, match=words) as caught:
            DiffusionModel.load(tmp_path / "run", checkpoint=asked)
        assert is_sentence(caught.value)
    model.save(tmp_path / "shared")
    with pytest.raises(ValueError, match="no checkpoints"):
        DiffusionModel.load(tmp_path / "shared", checkpoint="best")


def test_a_damaged_or_foreign_one_is_not_taken(tmp_path):
    fitted(tmp_path / "run", Numbers(VALUES), KeepBest(Every(1), tmp_path / "run", "distance"))
    (place,) = (tmp_path / "run" / "best").iterdir()
    facts = json.loads((place / "best.json").read_text())
    weights = {name: torch.zeros(3) for name in ("a",)}
    best.save(tmp_path / "run" / "best", best.Best(**{**facts, "model": "0" * 64}), weights)
    with pytest.raises(ValueError, match="not the record"):
        DiffusionModel.load(tmp_path / "run", checkpoint="best")
    raw = bytearray((place / "ema.safetensors").read_bytes())
    raw[-1] ^= 1
    (place / "ema.safetensors").write_bytes(bytes(raw))
    with pytest.raises(ValueError, match="no best average that is whole"):
        DiffusionModel.load(tmp_path / "run", checkpoint="best")


def test_a_run_of_a_bare_denoiser_keeps_one_too(tmp_path):
    """`fit` without a `DiffusionModel` has no record; the average is kept, and filled into a network by hand."""
    keep = KeepBest(Every(1), tmp_path, "distance")
    network = Preconditioned(TimeMLP(2, width=8, depth=1), EDMPreconditioning())
    context = CallbackContext(Progress(1, 0.5, 1.0, 1e-3, 100.0, 0), network, False, {"distance": 2.0})
    keep.on_report(context)
    other = Preconditioned(TimeMLP(2, width=8, depth=1), EDMPreconditioning())
    assert best.load_best(tmp_path / "best", other).value == 2.0
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
