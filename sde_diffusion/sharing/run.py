"""The model of a run's folder: its record, its configuration and the newest whole checkpoint, which belong together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sde_diffusion.sharing.pretrained import RECORD, digest, fields_of, read_description


def read_run(path: Path, network: nn.Module | None) -> dict[str, Any]:
    """The fields of a run's model. ValueError where record, configuration and checkpoint are not of one run."""
    from sde_diffusion.training import latest, load_average
    from sde_diffusion.training.checkpoints.checkpoint import fingerprint_of, weights_changed
    from sde_diffusion.training.checkpoints.fingerprint import check_settings
    from sde_diffusion.training.run_folder import RunFolder

    record, newest = path / RECORD, latest(RunFolder(path).checkpoints)
    described = read_description(record)
    if newest is None:
        raise ValueError(f"{path} has no checkpoint yet; run its training until the first one")
    stored = fingerprint_of(newest)
    if stored.get("extra", {}).get("model") != digest(described):
        raise ValueError(f"{record} is not the record that {newest.name} was made with; restore it, or train again")
    described["run"] = RunFolder(path).check_config(described["run"])
    check_settings(stored, described["run"].get("training", {}), newest)

    def load(make: Any) -> Any:
        denoiser = seeded(0, make)
        load_average(newest, denoiser)
        return denoiser.eval().requires_grad_(False)

    return {**fields_of(described, record, load, network), "trained": weights_changed(newest)}


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
