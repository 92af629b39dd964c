"""What a run leaves for people to see, by default and as asked; it never decides what the run becomes."""

from __future__ import annotations

import json
import os
import signal
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from sde_diffusion import DiffusionModel
from sde_diffusion.callbacks import HeldOut, KeepBest, Levels, Pictures, SampleMetric
from sde_diffusion.cli.callback_settings import CallbackSettings, WatchedRun, callbacks_of
from sde_diffusion.cli.device import device_of
from sde_diffusion.cli.main import main
from sde_diffusion.cli.model import data_of, load_model, objective_of
from sde_diffusion.data import by_name
from sde_diffusion.evaluation.training_blocks import training_blocks
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.objectives import DenoisingScoreMatching
from sde_diffusion.sde import VP
from sde_diffusion.training import Doubling, Every, RunFolder
from tests.cli.conftest import TINY
from tests.faults.conftest import sentences

NOTHING = ["--watch.held_out_every", "0", "--watch.levels_every", "0", "--watch.pictures_every", "0"]


def weights(run):
    newest = max((run / "checkpoints").iterdir())
    return {**load_file(newest / "model.safetensors"), **load_file(newest / "ema.safetensors")}


def scene(folder, **more):
    source = by_name("digits", held_out=24)
    model = DiffusionModel(VP(), torch.nn.Identity(), (1, 8, 8))
    usual = {"model": model, "objective": DenoisingScoreMatching(), "source": source, "seed": 0}
    return WatchedRun(folder, **{**usual, **more})


def test_a_run_shows_itself_by_default(trained):
    """Held-out loss, error by level and a picture at the last step at the latest."""
    held_out = [line for line in metrics_file.read(trained / "metrics.jsonl") if "held_out_loss" in line]
    assert [line["step"] for line in held_out] == [12]
    assert 0 < held_out[0]["held_out_error"] < held_out[0]["held_out_loss"]
    assert [look["step"] for look in json.loads((trained / "loss_by_level.json").read_text())["looks"]] == [12]
    with Image.open(trained / "pictures" / "step-000012.png") as picture:
        assert picture.size == (11 * (8 * 8 + 7), 11 * (8 * 8 + 7))  # about 800 wide
    assert not (trained / "tensorboard").exists()


def test_the_numbers_are_those_of_the_averaged_model(trained):
    """Measured again on the average of the last checkpoint, on the held-out split."""
    model = load_model(trained, device_of("cpu"))
    source = data_of(model)
    there = WatchedRun(trained, model, objective_of(model), source, seed=0)
    held_out, levels, pictures = callbacks_of(CallbackSettings(best="none"), there)
    (line,) = [line for line in metrics_file.read(trained / "metrics.jsonl") if "held_out_loss" in line]
    assert held_out.measure(model.denoiser) == pytest.approx((line["held_out_loss"], line["held_out_error"]), rel=1e-5)
    stored = json.loads((trained / "loss_by_level.json").read_text())
    error, _ = levels.measure(model.denoiser)
    assert stored["looks"][-1]["error"] == pytest.approx(error.tolist(), rel=1e-5)
    assert stored["bounds"].keys() == levels.head["bounds"].keys()
    for name, bound in levels.head["bounds"].items():
        assert stored["bounds"][name] == pytest.approx(bound, rel=1e-6)
    assert pictures.count == 64


def test_what_is_seen_decides_nothing(trained, tmp_path):
    """Nothing seen, and much seen, and each resumed as the other: the same weights."""
    often = ["--watch.held_out_every", "3", "--watch.pictures_every", "4", "--watch.pictures", "4"]
    run = tmp_path / "run"
    assert main(["train", *TINY, *NOTHING, "--output", str(run)]) == 0
    assert all(torch.equal(value, weights(trained)[name]) for name, value in weights(run).items())
    assert {path.name for path in run.iterdir()} & {"pictures", "loss_by_level.json"} == set()
    assert main(["train", *TINY, *often, "--output", str(run)]) == 0  # another watch is no other run
    assert main(["train", *TINY, *often, "--output", str(tmp_path / "seen")]) == 0
    assert all(torch.equal(value, weights(trained)[name]) for name, value in weights(tmp_path / "seen").items())
    names = {path.name for path in (tmp_path / "seen" / "pictures").iterdir()}
    assert names == {"step-000004.png", "step-000008.png", "step-000012.png", "film.gif", "film.png"}
    lines = [line["step"] for line in metrics_file.read(tmp_path / "seen" / "metrics.jsonl") if "held_out_loss" in line]
    assert lines == [4, 6, 10, 12]  # the first reports at or after 3, 6, 9 and 12


@pytest.mark.parametrize(("number", "ends"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_of_a_look_has_the_usual_exit_code(trained, tmp_path, monkeypatch, capsys, number, ends):
    run, measured = tmp_path / "run", HeldOut.measure

    def struck(observer, model, step):
        os.kill(os.getpid(), number)
        return measured(observer, model, step)

    wanted = ["train", *TINY, "--watch.held_out_every", "6", "--output", str(run)]
    with monkeypatch.context() as patch:
        patch.setattr(HeldOut, "measure", struck)
        assert main(wanted) == ends
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.endswith("; saved at step 6; the same command goes on from there")
    assert max((run / "checkpoints").iterdir()).name == "step-000006"
    assert main(wanted) == 0
    assert all(torch.equal(value, weights(trained)[name]) for name, value in weights(run).items())


@pytest.mark.filterwarnings("default")
def test_a_picture_that_cannot_be_drawn_is_a_warning(tmp_path, monkeypatch, capsys):
    def full(observer, look):
        raise OSError(28, "No space left on device", "x.png")

    monkeypatch.setattr(Pictures, "on_report", full)
    assert main(["train", *TINY, "--output", str(tmp_path / "run"), "--watch.pictures_every", "4"]) == 0
    said = sentences(capsys.readouterr().err)
    assert len(said) == 1
    assert said[0].startswith("sde-diffusion: warning: Pictures failed at step 4 (OSError")


def test_a_conditional_run_is_watched(tmp_path):
    asked = ["--network.classes", "10", "--training.steps", "4", "--watch.pictures", "10"]
    assert main(["train", *TINY, *asked, "--output", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "pictures" / "step-000004.png").exists()


def test_the_report_shows_what_was_seen(trained, tmp_path):
    """The held-out curve, with lines of both kinds in the file, the levels, and a film where there is one."""
    titles = [block.caption for block in training_blocks(RunFolder(trained), tmp_path)[1:]]
    assert titles[0] == "The loss over 12 steps, and that of held-out data."
    assert "noise level" in titles[1]
    assert len(titles) == 2
    assert (tmp_path / "training.png").stat().st_size > 10_000


def test_tensorboard_when_it_is_asked_for(tmp_path):
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = tmp_path / "run"
    assert main(["train", *TINY, "--watch.tensorboard", "true", "--output", str(run)]) == 0
    found = EventAccumulator(str(run / "tensorboard")).Reload()
    assert [event.step for event in found.Scalars("loss")] == [2, 4, 6, 8, 10, 12]
    assert {"held_out_loss", "held_out_error"} <= set(found.Tags()["scalars"])
    assert set(found.Tags()["images"]) == {"samples", "loss_by_level"}


def test_a_missing_tensorboard_is_refused_before_the_first_step(refused, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    said = refused("train", *TINY, "--watch.tensorboard", "true", "--output", "run")
    assert "pip install 'sde-diffusion[tensorboard]'" in said
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


@pytest.mark.parametrize(
    "wrong", [("held_out", "1"), ("pictures_every", "-1"), ("evaluations", "0"), ("pictures", "0")]
)
def test_numbers_out_of_range_are_refused(refused, wrong):
    name, value = wrong
    assert f"watch.{name} is at least" in refused("train", *TINY, f"--watch.{name}", value)


def test_the_moments_are_those_that_are_asked_for(tmp_path):
    usual = {type(one): one.trigger for one in callbacks_of(CallbackSettings(), scene(tmp_path))}
    assert usual == {HeldOut: Every(500), KeepBest: Every(500), Levels: Doubling(400), Pictures: Doubling(100)}
    asked = CallbackSettings(held_out_every=7, levels_every=8, pictures_every=9, best="none")
    assert [one.trigger for one in callbacks_of(asked, scene(tmp_path))] == [Every(7), Every(8), Every(9)]
    assert callbacks_of(CallbackSettings(held_out_every=0, levels_every=0, pictures_every=0), scene(tmp_path)) == []


def test_without_held_out_events_the_pictures_remain(tmp_path):
    class Closed(type(by_name("digits"))):
        def size(self, split="train"):
            return 0 if split == "held_out" else super().size(split)

    source = Closed(held_out=24)
    found = callbacks_of(CallbackSettings(), scene(tmp_path, source=source))
    assert [type(one) for one in found] == [Pictures]
    assert torch.equal(found[0].real, source.tensors("train")[0][: found[0].count])


METRIC = [
    "--watch.metric",
    "kid",
    "--watch.metric_every",
    "4",
    "--watch.metric_count",
    "24",
    "--watch.best",
    "metric",
    "--watch.evaluations",
    "3",
]


def test_a_metric_is_written_and_its_best_average_is_sampled(tmp_path, capsys):
    """Every 4 of 12 steps and each look as one by hand; it decides nothing of the weights; `sample` and `evaluate` take the best."""
    run = tmp_path / "run"
    assert main(["train", *TINY, *NOTHING, *METRIC, "--watch.extractor", "pixels", "--output", str(run)]) == 0
    found = {line["step"]: line["kid"] for line in metrics_file.read(run / "metrics.jsonl") if "kid" in line}
    assert list(found) == [4, 8, 12]
    best = min(found, key=lambda step: found[step])
    model = DiffusionModel.load(run, checkpoint="best", device="cpu")
    settings = CallbackSettings(metric="kid", metric_count=24, extractor="pixels", evaluations=3, best="none")
    there = WatchedRun(run, model, objective_of(model), data_of(model), seed=0)
    metric = next(one for one in callbacks_of(settings, there) if isinstance(one, SampleMetric))
    assert metric.measure(model.denoiser) == pytest.approx(found[best], rel=1e-4)
    for command, more in (
        ("sample", ["--count", "2", "--nfe", "3"]),
        ("evaluate", ["--steps", "2", "--extractor", "pixels"]),
    ):
        assert main([command, str(run), *more, "--checkpoint", "best"]) == 0
        assert main([command, str(run), *more, "--checkpoint", "bset"]) == 2
        assert "newest, best or one of the steps" in capsys.readouterr().err
    assert [path.name[-5:] for path in (run / "samples").iterdir()] == ["-best"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--watch.metric", "fid"], "no metric 'fid'"),
        (["--watch.best", "metric"], "add --watch.metric frechet"),
        (["--watch.best", "loss"], "held_out_loss, metric, none"),
        (["--watch.metric", "kid", "--watch.extractor", "inception(layer=3)"], "layer"),
        (["--watch.metric", "kid", "--watch.extractor", "clasifier"], "classifier"),
    ],
)
def test_a_metric_that_cannot_be_is_refused_before_anything_is_trained(tmp_path, capsys, words, said):
    assert main(["train", *TINY, *words, "--output", str(tmp_path / "run")]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_classifier_is_trained_once_and_late(tmp_path):
    """Labelled images are compared in a classifier's features unless others are asked for; it leaves the weights as they are."""
    run = tmp_path / "run"
    assert main(["train", *TINY, *NOTHING, *METRIC, "--output", str(run)]) == 0
    plain = tmp_path / "plain"
    assert main(["train", *TINY, *NOTHING, "--output", str(plain)]) == 0
    assert all(torch.equal(value, weights(plain)[name]) for name, value in weights(run).items())
