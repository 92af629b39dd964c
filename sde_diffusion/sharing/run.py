"""The model of a run's folder: its record, its configuration and one of its averages, which belong together."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sde_diffusion.io.atomic import replace_file
from sde_diffusion.io.plain import as_read_back
from sde_diffusion.resolver import completed, spec_of
from sde_diffusion.sharing.chosen_weights import NEWEST, weights_of
from sde_diffusion.sharing.diffusers_folder import is_pipeline, read_diffusers
from sde_diffusion.sharing.pretrained import (
    KINDS,
    RECORD,
    Description,
    as_json,
    describe,
    digest,
    fields_of,
    read_description,
    read_pretrained,
)
from sde_diffusion.specs import spec
from sde_diffusion.training.settings import TrainSettings

GIVEN = "given"
"""The name of the data set in the record of a run that was fitted in Python: an array, known by its digest."""


def configuration_of(model: Any, loss: Any, settings: TrainSettings, augment: Any) -> dict[str, Any]:
    """The configuration of a run in Python as the command line has it, with what it cannot build marked as custom."""
    kinds = {"network": model.denoiser.backbone, "parameterization": model.denoiser.parameterization}
    return {
        "sde": spec_of("process", model.sde),
        **{kind: spec_of(kind, one) for kind, one in kinds.items()},
        "data": spec(GIVEN, digest=str(model.data_digest)),
        "augment": spec("none") if augment is None else spec_of("augmentation", augment),
        "objective": spec_of("objective", loss),
        "training": asdict(settings),
    }


def recording(model: Any, folder: Path, world: Any, on_start: Callable[[], object] | None) -> dict[str, Any]:
    """Check that the folder is that of the model's run, write nothing yet; the options that make `train` write the record."""
    from sde_diffusion.training.run_folder import RunFolder

    described = in_words_of(describe(model), folder / RECORD)

    def write() -> None:
        RunFolder.create(folder, model.run)
        replace_file(folder / RECORD, as_json(described))
        if on_start is not None:
            on_start()

    if world is None or world.is_main:
        RunFolder.check(folder, model.run)
    begun = {"start": model.run["start"]["weights"]} if "start" in model.run else {}
    return {"extra": {"model": digest(described), **begun}, "on_start": write}


def in_words_of(described: Description, record: Path) -> Description:
    """The description, in the words of the record of a run that goes on where that is of the same model.

    A run of an earlier version knows none of the arguments that its parts have got since, which are now at their defaults:
    its checkpoints keep the digest of what it knew.
    """
    try:
        earlier = read_description(record)
    except (OSError, ValueError):
        return described
    parts = {kind: completed(kind, earlier[kind]) for kind in KINDS}
    now = as_read_back({name: value for name, value in described.items() if name not in ("run", "trained")})
    same = now == {name: parts.get(name, earlier[name]) for name in earlier if name not in ("run", "trained")}
    return {**described, **{kind: earlier[kind] for kind in KINDS}} if same else described


def read_model(path: Path, network: nn.Module | None = None, checkpoint: str | int | None = None) -> dict[str, Any]:
    """The fields of the model of a run's folder, of a diffusers pipeline or of a shared model; ValueError for another folder.

    A `checkpoint` is that of a run, see `read_run`.
    """
    if (path / RECORD).is_file():
        return read_run(path, network, checkpoint)
    if checkpoint not in (None, NEWEST):
        raise ValueError(
            f"{path} holds one set of weights and no checkpoints, got checkpoint {checkpoint!r}; leave it out"
        )
    return read_diffusers(path) if is_pipeline(path) else read_pretrained(path)


def read_run(path: Path, network: nn.Module | None, checkpoint: str | int | None = None) -> dict[str, Any]:
    """The fields of a run's model. ValueError where record, configuration and checkpoint are not of one run.

    `checkpoint` is `newest`, `best` (see `callbacks.KeepBest`) or the number of a step.
    """
    from sde_diffusion.training.checkpoints.fingerprint import check_settings
    from sde_diffusion.training.run_folder import RunFolder

    record, run = path / RECORD, RunFolder(path)
    described, weights = read_description(record), weights_of(run, checkpoint)
    if weights.model != digest(described):
        raise ValueError(f"{record} is not the record that {weights.name} was made with; restore it, or train again")
    described["run"] = run.check_config(described["run"])
    check_settings(weights.settings, described["run"].get("training", {}), run.path / weights.name)

    def load(make: Any) -> Any:
        denoiser = seeded(0, make)
        weights.fill(denoiser)
        return denoiser.eval().requires_grad_(False)

    return {**fields_of(described, record, load, network), "trained": weights.trained}


def run_is_trained(folder: str | os.PathLike) -> bool:
    """Whether a step of a finished run has changed a weight."""
    from sde_diffusion.training import latest
    from sde_diffusion.training.checkpoints.checkpoint import weights_changed
    from sde_diffusion.training.run_folder import RunFolder

    newest = latest(RunFolder(Path(folder)).checkpoints)
    return newest is not None and weights_changed(newest)


def seeded(seed: int, make: Any) -> nn.Module:
    """A network whose first weights are a function of the seed; the global generator is given back as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return make()
