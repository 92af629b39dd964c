"""What a run is: plain data without torch, written to the run's folder and read back from it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from sde_diffusion.cli.specs import NAMES, check_spec
from sde_diffusion.data_paths import absolute
from sde_diffusion.specs import Spec, spec
from sde_diffusion.training.settings import TrainSettings

KINDS = {"sde": "process", "data": "data set", "augment": "augmentation"}
"""The kind of a component, where it is not called as the option."""


AUTO = "auto"
"""The name of the network that suits the data."""


def _objective() -> Spec:
    """The loss of EDM for data of unit variance, its noise levels a little wider than the paper's: `default_objective`."""
    times = spec("log_normal_level", mean=-0.4, std=1.4)
    return spec("denoising_score_matching", weighting=spec("edm_weighting"), times=times)


@dataclass(frozen=True)
class RunConfig:
    """What is trained on what.

    Attributes:
        sde: the forward process and its arguments: `--sde ve --sde.sigma_max 20`.
        parameterization: what the network's output means; its data_std is measured on the data unless given.
        network: the backbone and its arguments; auto is an MLP for tables and a U-Net for signals, images and volumes,
            which takes the labels where there are any (`--network.classes null` leaves them out).
        data: the data set and its arguments, or the path of your own: a file of an array or a table, or a folder.
        augment: random changes of the training samples: none, flips, geometric (with `--network.augment 9`).
        objective: the loss and its arguments.
        training: how long, how fast and from which seed.
        standardization: data, for coordinates of mean zero and variance one, by column for tables; or none.
        condition_dropout: the share of samples that are trained without the condition that the data have (`--data.condition`);
            with 0 no sample can be drawn without one.
    """

    sde: Spec | str = field(default_factory=partial(spec, "vp"))
    parameterization: Spec | str = field(default_factory=partial(spec, "edm"))
    network: Spec | str = field(default_factory=partial(spec, AUTO))
    data: Spec | str = field(default_factory=partial(spec, "digits"))
    augment: Spec | str = field(default_factory=partial(spec, "none"))
    objective: Spec | str = field(default_factory=_objective)
    training: TrainSettings = field(default_factory=partial(TrainSettings, steps=6000, learning_rate=2e-3))
    standardization: str = "data"
    condition_dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.standardization not in ("data", "none"):
            raise ValueError(f"standardization is data or none, got {self.standardization!r}; choose one")
        if not 0 <= self.condition_dropout <= 1:
            raise ValueError(f"condition_dropout is a share in [0, 1], got {self.condition_dropout}; 0.1 is usual")
        for name in NAMES:
            object.__setattr__(self, name, check_spec(getattr(self, name), name))

    def part(self, name: str) -> Spec:
        """The part called `name`, one of `specs.NAMES`."""
        return check_spec(getattr(self, name), name)

    def as_dict(self) -> dict[str, Any]:
        """The configuration as plain data, each argument of the type that its component asks for, paths of data absolute."""
        from sde_diffusion.resolver import canonical

        parts = {name: canonical(KINDS.get(name, name), self.part(name)) for name in NAMES}
        parts["data"] = absolute(parts["data"])
        more = {"standardization": self.standardization, "condition_dropout": self.condition_dropout}
        return {**parts, "training": dataclasses.asdict(self.training), **more}

    @classmethod
    def of(cls, stored: dict[str, Any], source: str) -> Self:
        """The configuration that `as_dict` gave; ValueError when `stored` is of another kind."""
        names = {field.name for field in dataclasses.fields(RunConfig)}
        try:
            if set(stored) != names:
                raise ValueError(f"it has {', '.join(sorted(stored)) or 'nothing'}")
            return cls(**{**stored, "training": TrainSettings(**stored["training"])})
        except (TypeError, ValueError) as error:
            raise ValueError(f"{source} is no run of this program ({error}); name a folder of `train`") from error
