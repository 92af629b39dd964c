"""What is seen of a model while it trains: from a few numbers to observers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.data import DataSource
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.training.callbacks import Callback
    from sde_diffusion.training.triggers import Trigger


LOOKED_AT = 2**24
"""How many numbers of the data callbacks keep at most."""


@dataclass(frozen=True)
class CallbackSettings:
    """What is seen meanwhile; none of it changes the model.

    Attributes:
        held_out_every: steps between two looks at the loss of held-out events; 0 for none.
        held_out: how many of the held-out events are asked about; fewer, at least two, where these are over 2^24 numbers.
        levels_every: steps between two looks at the error by noise level; left out: at steps 400, 800, 1600, 3200 and
            so on; 0 for none.
        pictures_every: steps between two pictures of samples; left out: at steps 100, 200, 400, 800 and so on; 0 for none.
        pictures: how many samples a picture shows.
        evaluations: of the network for each of these samples.
        tensorboard: whether events for TensorBoard are written, which is then to be installed.
    """

    held_out_every: int = 500
    held_out: int = 512
    levels_every: int | None = None
    pictures_every: int | None = None
    pictures: int = 64
    evaluations: int = 15
    tensorboard: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for a number that is too small."""
        least = {"held_out_every": 0, "levels_every": 0, "pictures_every": 0, "pictures": 1, "evaluations": 1}
        for name, low in {**least, "held_out": 2}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"watch.{name} is at least {low}, got {value}; correct it")


@dataclass(frozen=True)
class WatchedRun:
    """The run that callbacks look at: its folder, model, objective, data and seed."""

    folder: Path
    model: DiffusionModel
    objective: Callable[..., Any]
    source: DataSource
    seed: int

    def first(self, count: int) -> Tensor:
        """The first `count` training samples, or all."""
        return self.source.batch(_range(min(count, self.source.size())))[0]

    def context(self, rows: Tensor | None) -> dict[str, Tensor]:
        """What the network is given of conditions (N, K)."""
        columns = self.model.condition_columns
        if columns is None or rows is None:
            return {}
        return {"context": columns.context(rows).to(self.model.state_dtype)}

    @property
    def dropout(self) -> dict[str, Any]:
        """How often the condition is dropped in training, by the name of the network's argument."""
        columns = self.model.condition_columns
        return {} if columns is None else {"context": columns.dropped}

    def few(self, count: int) -> int:
        """`count`, or as many samples as 2^24 numbers make, at least two."""
        return min(count, max(2, LOOKED_AT // math.prod(self.model.event_shape)))


def callbacks_of(settings: CallbackSettings, scene: WatchedRun) -> list[Callback]:
    """The observers that are asked for; those of held-out events where fewer than two are held out are left out.

    Raises ValueError where TensorBoard is asked for and missing.
    """
    from sde_diffusion.callbacks import HeldOut, Levels, Pictures
    from sde_diffusion.callbacks.spectrum import EVENTS

    count = scene.few(settings.held_out)
    events, labels, rows = _held_out(scene, count)
    context = scene.context(rows)
    folder, model, objective, seed = scene.folder, scene.model, scene.objective, scene.seed
    sde, z = model.sde, model.to_standard(events) if len(events) else events
    found: list[Callback] = []
    if settings.held_out_every and len(events) > 1:
        dropped = {"condition": context, "dropout": scene.dropout}
        found.append(HeldOut(_moments(settings.held_out_every), sde, objective, z, labels, seed=seed, **dropped))
    if settings.levels_every != 0 and len(events) > 1:
        half = slice(max(2, count // 2))
        shown = z[half], None if labels is None else labels[half]
        found.append(
            Levels(
                _moments(settings.levels_every, 400),
                folder,
                sde,
                objective,
                model.to_standard(scene.first(scene.few(EVENTS))),
                *shown,
                seed=seed,
                condition={name: value[half] for name, value in context.items()},
            )
        )
    if settings.pictures_every != 0:
        real = events if len(events) else scene.first(count)
        if rows is not None and not len(rows):
            rows = scene.source.condition_rows(_range(min(count, scene.source.size())))
        more = {"condition": rows, "count": settings.pictures, "evaluations": settings.evaluations, "seed": seed}
        found.append(Pictures(_moments(settings.pictures_every, 100), folder, model, real, **more))
    return found + (_tensorboard(folder) if settings.tensorboard else [])


def _held_out(scene: WatchedRun, count: int) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Up to `count` held-out events, the same for a seed, and their labels and conditions for a network that takes them."""
    from sde_diffusion.data.order import permutation

    rows = permutation(scene.seed, 0, scene.source.size("held_out"))
    events, labels = scene.source.batch(rows[:count], "held_out")
    conditions = scene.source.condition_rows(rows[:count], "held_out")
    columns = scene.model.condition_columns
    return events, None if scene.model.classes is None else labels, None if columns is None else conditions


def _range(count: int) -> Tensor:
    import torch

    return torch.arange(count)


def _moments(every: int | None, first: int = 1) -> Trigger:
    """The multiples of `every`; left out, `first` and then twice as late each time."""
    from sde_diffusion.training.triggers import Doubling, Every

    return Doubling(first) if every is None else Every(every)


def _tensorboard(folder: Path) -> list[Callback]:
    from sde_diffusion.callbacks import TensorBoard

    try:
        return [TensorBoard(folder)]
    except ImportError as error:
        raise ValueError(str(error)) from error
