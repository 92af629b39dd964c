"""`train --start FOLDER`: given weights to begin with, and what belongs to them: the network, the process, the coordinates."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.config import AUTO, RunConfig
from sde_diffusion.specs import Spec, spec, to_text

if TYPE_CHECKING:
    from torch import nn

    from sde_diffusion.conditions import ConditionColumns
    from sde_diffusion.data import DataSource
    from sde_diffusion.data.moments import Moments
    from sde_diffusion.model import DiffusionModel

SHOWN = 3
"""How many tensors that do not fit are named."""


@dataclass(frozen=True)
class Start:
    """A model to begin with, as it is in a folder.

    Attributes:
        config: the run's configuration, with the network, the parameterization and the process of that model.
        record: where the weights are from, and their SHA-256: what the run's configuration keeps.
    """

    model: DiffusionModel
    config: RunConfig
    record: dict[str, Any]

    def coordinates(self, found: Moments) -> tuple[Any, float, float]:
        """The model's standardization, and the mean and the standard deviation of data of these moments under it."""
        standard = self.model.standardization
        z = replace(found, mean=(found.mean - standard.shift) / standard.scale, std=found.std / standard.scale)
        return standard, *z.overall()

    def columns(self, source: DataSource) -> ConditionColumns | None:
        """The conditions that the weights take, in the coordinates that they were trained in. ValueError for data with others."""
        own = self.model.condition_columns
        names = None if own is None else own.names
        if names != source.condition_names:
            raise ValueError(
                f"the weights in {self.record['folder']} take the conditions {', '.join(names or ('none',))}, and these data have "
                f"{', '.join(source.condition_names or ('none',))}; name the same columns"
            )
        return own

    def fill(self, denoiser: nn.Module) -> None:
        """Copy the weights. Raises ValueError, with the tensors that do not fit, for another network."""
        here = {name: tuple(value.shape) for name, value in denoiser.state_dict().items()}
        there = {name: tuple(value.shape) for name, value in self.model.denoiser.state_dict().items()}
        wrong = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
        if wrong:
            named = "; ".join(
                f"{name} is {there.get(name, 'absent')} there and {here.get(name, 'absent')} here"
                for name in wrong[:SHOWN]
            )
            raise ValueError(
                f"{len(wrong)} of {len(here)} tensors of the network do not fit the weights in {self.record['folder']} ({named}); "
                "leave --network out to take the one that is there"
            )
        denoiser.load_state_dict(self.model.denoiser.state_dict())


def read_start(folder: str, config: RunConfig, source: DataSource) -> Start:
    """The model in the folder of a run, of a shared model or of a diffusers pipeline, and the configuration that goes on from it.

    Raises ValueError for a folder of another kind, data of another shape, a network that has no name here, and a process or a
    parameterization that is asked for and is another one than the model's.
    """
    from sde_diffusion.cli.folders import run_folder
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.training.checkpoints.fingerprint import digest

    path = run_folder(folder)
    model = DiffusionModel.load(path, device="cpu")
    if tuple(model.event_shape) != tuple(source.event_shape):
        raise ValueError(
            f"the weights in {path} are for samples of shape {tuple(model.event_shape)}, these data have "
            f"{tuple(source.event_shape)}; resize the data, or begin without --start"
        )
    record = {"folder": os.fspath(Path(path).resolve()), "weights": digest(dict(model.denoiser.state_dict()))}
    return Start(model, _configuration(config, model, path), record)


def _configuration(config: RunConfig, model: DiffusionModel, path: Path) -> RunConfig:
    from sde_diffusion.resolver import canonical, is_custom, spec_of

    own = {
        "sde": spec_of("process", model.sde),
        "parameterization": spec_of("parameterization", model.denoiser.parameterization),  # pyright: ignore
    }
    for name, kind in (("sde", "process"), ("parameterization", "parameterization")):
        asked = canonical(kind, config.part(name))
        if asked != RunConfig().part(name) and not asked.items() <= own[name].items():
            raise ValueError(
                f"--{name} is {to_text(asked)[:80]}, and the weights in {path} were trained with {to_text(own[name])[:80]}; leave it "
                "out"
            )
    network = config.part("network")
    if network["name"] == AUTO:
        network = _network(model)
    if is_custom(network):
        raise ValueError(
            f"the network in {path} is of the class {network.get('class')}, which has no name here; name one with --network"
        )
    return replace(config, network=network, **own)


def _network(model: DiffusionModel) -> Spec:
    """The name and the arguments of the model's network; those of a diffusers folder become `diffusers_unet` with its own."""
    from sde_diffusion.networks.base import Backbone
    from sde_diffusion.networks.foreign import DiffusersBackbone
    from sde_diffusion.resolver import is_custom, spec_of

    backbone: Any = model.denoiser.backbone
    if isinstance(backbone, DiffusersBackbone) and not isinstance(backbone, Backbone):
        return _of_diffusers(backbone, model.class_names is None)
    found = spec_of("network", backbone)
    return found if is_custom(found) else _without_fitted(found, type(backbone), model.event_shape)


def _of_diffusers(backbone: Any, unconditional: bool) -> Spec:
    from sde_diffusion.networks.foreign import ChainTimestep

    if not isinstance(backbone.timestep, ChainTimestep) or not unconditional:
        raise ValueError(
            "a diffusers folder is gone on from where its scheduler is of a chain and its network takes no classes; sample from "
            "it, or train a network of your own"
        )
    told = {name: value for name, value in backbone.network.config.items() if not name.startswith("_")}
    return spec("diffusers_unet", config=told, levels=backbone.timestep.levels())


def _without_fitted(found: Spec, cls: Any, event_shape: tuple[int, ...]) -> Spec:
    """The arguments that a configuration has: those without the ones that `fitting` takes from the shape of the data."""
    import torch

    with torch.device("meta"):
        fitted = cls.fitting(tuple(event_shape)).arguments
    return {name: value for name, value in found.items() if name not in fitted}
