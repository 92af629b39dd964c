"""Trackers against the interfaces of their packages: modules that record what they are called with, and wandb itself, offline."""

from __future__ import annotations

import inspect
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from sde_diffusion.callbacks import CallbackContext
from sde_diffusion.callbacks.mlflow import MLflow
from sde_diffusion.callbacks.trackio import Trackio
from sde_diffusion.callbacks.wandb import Wandb
from sde_diffusion.cli.main import main
from sde_diffusion.training import Progress, RunFolder
from tests.cli.conftest import TINY

KINDS = {"wandb": Wandb, "mlflow": MLflow, "trackio": Trackio}


class Service:
    """The parts of the three packages' interfaces that are used, with the packages' own signatures; `calls` is what came."""

    def __init__(self) -> None:
        self.calls: list[tuple] = []
        self.experiments: dict[str, str] = {}

    def of(self, name: str) -> SimpleNamespace:
        return getattr(self, name)()

    def wandb(self) -> SimpleNamespace:
        def init(entity=None, project=None, dir=None, id=None, name=None, config=None, resume=None, mode=None):
            self.calls.append(("init", project, id, name, config, resume))
            return SimpleNamespace(log=log, finish=lambda exit_code=None: self.calls.append(("finish",)))

        def log(data, step=None, commit=None):
            self.calls.append(("log", step, data))

        return SimpleNamespace(init=init, Image=lambda data, caption=None: ("image", data))

    def trackio(self) -> SimpleNamespace:
        def init(project, name=None, config=None, resume="never", embed=True):
            self.calls.append(("init", project, name, None, config, resume))
            return SimpleNamespace(log=log, finish=lambda: self.calls.append(("finish",)))

        def log(metrics, step=None):
            self.calls.append(("log", step, metrics))

        return SimpleNamespace(init=init, Image=lambda value, caption=None: ("image", value))

    def mlflow(self) -> SimpleNamespace:
        def create_run(experiment_id, start_time=None, tags=None, run_name=None):
            self.calls.append(("init", experiment_id, "run-1", run_name, {}, None))
            return SimpleNamespace(info=SimpleNamespace(run_id="run-1"))

        def log_metric(run_id, key, value, timestamp=None, step=None):
            self.calls.append(("log", step, {key: value}))

        def log_artifact(run_id, local_path, artifact_path=None):
            self.calls.append(("log", None, {artifact_path: ("image", local_path)}))

        def found(name):
            return SimpleNamespace(experiment_id=self.experiments[name]) if name in self.experiments else None

        client = SimpleNamespace(
            create_run=create_run, log_metric=log_metric, log_artifact=log_artifact, get_experiment_by_name=found,
            create_experiment=lambda name: self.experiments.setdefault(name, name),
            log_param=lambda run_id, key, value: self.calls.append(("param", key, value)),
            update_run=lambda run_id, status=None, name=None: self.calls.append(("init", None, run_id, None, {}, status)),
            set_terminated=lambda run_id, status=None, end_time=None: self.calls.append(("finish",)),
        )  # fmt: skip
        return SimpleNamespace(MlflowClient=lambda: client)


def report(tmp_path: Path, step: int) -> CallbackContext:
    path = tmp_path / "one.png"
    Image.new("RGB", (2, 2)).save(path)
    progress, model = Progress(step, 0.5, 1.0, 1e-3, 100.0, 0), torch.nn.Identity()
    return CallbackContext(progress, model, False, {"held_out_loss": 0.25}, {"samples": path})


def logged(calls: list[tuple]) -> dict:
    return {name: value for call in calls if call[0] == "log" for name, value in call[2].items()}


@pytest.mark.parametrize("name", KINDS)
def test_a_service_gets_each_number_and_picture_and_a_run_that_goes_on_is_the_same(name, tmp_path, monkeypatch):
    service = Service()
    monkeypatch.setitem(sys.modules, name, service.of(name))
    run = tmp_path / "mine"
    RunFolder.create(run, {"training": {"steps": 5}, "sde": {"name": "vp"}})
    first = KINDS[name](run, "digits")
    assert service.calls == []
    first.on_report(report(tmp_path, 1))
    first.on_report(report(tmp_path, 2))
    first.close()
    first.close()
    begun = [call for call in service.calls if call[0] == "init"]
    assert len(begun) == 1
    assert begun[0][1] == "digits"
    assert logged(service.calls) == {
        "loss": 0.5, "gradient_norm": 1.0, "learning_rate": 1e-3, "images_per_second": 100.0, "skipped": 0,
        "held_out_loss": 0.25, "samples": ("image", str(tmp_path / "one.png")),
    }  # fmt: skip
    steps = [call[1] for call in service.calls if call[0] == "log" and "loss" in call[2]]
    assert steps == [1, 2]
    assert service.calls[-1] == ("finish",)
    if name == "mlflow":
        assert ("param", "training.steps", "5") in service.calls
    else:
        assert begun[0][4] == {"training": {"steps": 5}, "sde": {"name": "vp"}}
    again = KINDS[name](run, "digits")
    again.on_report(report(tmp_path, 3))
    later = [call for call in service.calls if call[0] == "init"][1]
    assert later[2] == begun[0][2]
    assert later[5] in ("allow", "RUNNING")


@pytest.mark.parametrize("name", KINDS)
def test_a_missing_package_is_one_sentence_with_the_command(name, tmp_path, monkeypatch, capsys, is_sentence):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=f"pip install 'sde-diffusion\\[{name}\\]'") as caught:
        KINDS[name](tmp_path)
    assert is_sentence(caught.value)
    assert main(["train", *TINY, "--watch.tracker", name, "--output", str(tmp_path / "run")]) == 2
    assert f"pip install 'sde-diffusion[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_unknown_services_are_refused(tmp_path, capsys):
    assert main(["train", *TINY, "--watch.tracker", "wand", "--output", str(tmp_path / "run")]) == 2
    assert "wandb, mlflow, trackio" in capsys.readouterr().err


def test_a_run_of_the_command_is_tracked(tmp_path, monkeypatch):
    service = Service()
    monkeypatch.setitem(sys.modules, "trackio", service.of("trackio"))
    run = tmp_path / "run"
    assert main(["train", *TINY, "--watch.tracker", "trackio", "--output", str(run)]) == 0
    found = logged(service.calls)
    assert {"loss", "held_out_loss", "samples"} <= found.keys()
    assert math.isfinite(found["held_out_loss"])
    assert service.calls[-1] == ("finish",)
    assert service.calls[0][4]["training"]["steps"] == 12


def test_what_is_called_is_what_wandb_has():
    """The names of arguments in the installed package."""
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    assert {"project", "name", "id", "config", "dir", "resume"} <= set(inspect.signature(wandb.init).parameters)


@pytest.mark.slow
def test_wandb_offline(tmp_path, monkeypatch):
    """The package itself, without a network: a run in the folder, under the id of trackers.json."""
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    tracker = Wandb(tmp_path, "digits")
    tracker.on_report(report(tmp_path, 1))
    tracker.close()
    (made,) = (tmp_path / "wandb").glob("offline-run-*")
    assert made.name.endswith(str(tracker.identity()))
