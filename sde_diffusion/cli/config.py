"""What a run is: plain data without torch, written to the run's folder and read back from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Self

from sde_diffusion.cli.parts import NAMES, Part, checked, part
from sde_diffusion.training.settings import TrainSettings


def _default(name: str, **arguments: Any) -> Any:
    return field(default_factory=lambda: part(name, **arguments))


@dataclass(frozen=True)
class RunConfig:
    """What is trained on what.

    Attributes:
        sde: the forward process and its arguments: `--sde ve --sde.sigma_max 20`.
        parameterization: what the network's output means; its data_std is measured on the data unless given.
        network: the backbone and its arguments; with `classes` it is told the labels.
        data: the data set and its arguments.
        objective: the loss and its arguments.
        training: how long, how fast and from which seed.
    """

    sde: Part | str = _default("vp")
    parameterization: Part | str = _default("edm")
    network: Part | str = _default("mlp")
    data: Part | str = _default("digits")
    objective: Part | str = _default("denoising_score_matching")
    training: TrainSettings = field(default_factory=TrainSettings)

    def __post_init__(self) -> None:
        for name in NAMES:
            object.__setattr__(self, name, checked(getattr(self, name), name))

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain data."""
        return {field.name: _plain(getattr(self, field.name)) for field in dataclasses.fields(RunConfig)}

    @classmethod
    def of(cls, stored: dict[str, Any], source: str) -> Self:
        """The configuration that `as_dict` gave; ValueError when `stored` is of another kind."""
        names = {field.name for field in dataclasses.fields(RunConfig)}
        try:
            if set(stored) != names:
                raise ValueError(f"it has {', '.join(sorted(stored)) or 'nothing'}")
            return cls(**{**stored, "training": TrainSettings(**stored["training"])})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{source} is no run of this program ({error}); name a folder that `train` made") from error


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value
