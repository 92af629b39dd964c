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


LEARNT_FROM = 20_000
"""How many training examples the classifier behind a metric learns from at most."""

TRACKERS = {"wandb": "Wandb", "mlflow": "MLflow", "trackio": "Trackio"}
"""The services, and the callbacks that send to them."""

BEST = ("held_out_loss", "metric", "none")
"""By what the best average may be kept."""


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
        metric: a distance of samples to held-out events: frechet, kid, sliced_w2 or energy; none unless given.
        metric_every: steps between two looks at it.
        metric_count: how many samples, and held-out events, it compares; fewer where there are fewer.
        extractor: the features that the metric compares, such as pixels, classifier or inception(weights=FILE); by default a
            classifier's for labelled images, and the values themselves for other data.
        best: by which number the best average is kept, see `--checkpoint best` of `sample`: held_out_loss, metric or none.
        tensorboard: whether events for TensorBoard are written, which is then to be installed.
        tracker: a service that gets the numbers and pictures: wandb, mlflow or trackio, which is then to be installed.
        project: under which the service lists the run.
    """

    held_out_every: int = 500
    held_out: int = 512
    levels_every: int | None = None
    pictures_every: int | None = None
    pictures: int = 64
    evaluations: int = 15
    metric: str | None = None
    metric_every: int = 1000
    metric_count: int = 512
    extractor: str | None = None
    best: str = "held_out_loss"
    tensorboard: bool = False
    tracker: str | None = None
    project: str = "sde_diffusion"

    def __post_init__(self) -> None:
        """Raises ValueError for a number that is too small."""
        least = {"held_out_every": 0, "levels_every": 0, "pictures_every": 0, "pictures": 1, "evaluations": 1}
        for name, low in {**least, "held_out": 2, "metric_every": 1, "metric_count": 12}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise ValueError(f"watch.{name} is at least {low}, got {value}; correct it")
        if self.tracker is not None and self.tracker not in TRACKERS:
            raise ValueError(f"watch.tracker is one of {', '.join(TRACKERS)}, got {self.tracker!r}; choose one")
        if self.best not in BEST:
            raise ValueError(f"watch.best is one of {', '.join(BEST)}, got {self.best!r}; choose one")
        if self.best == "metric" and self.metric is None:
            raise ValueError("watch.best is metric, and no metric is watched; add --watch.metric frechet")


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

    Raises ValueError where TensorBoard is asked for and missing, and for a metric that cannot be measured on these data.
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
        if settings.best == "held_out_loss":
            found.append(_best(settings.held_out_every, folder, "held_out_loss", f"{len(z)} held-out events"))
    found += [] if settings.metric is None else _metric(settings, settings.metric, scene)
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
    return found + _trackers(settings, folder)


def _metric(settings: CallbackSettings, metric: str, scene: WatchedRun) -> list[Callback]:
    """The metric of samples, and what keeps the average that is best by it, where that is asked for."""
    from sde_diffusion.callbacks import SampleMetric

    events, labels, rows = _held_out(scene, scene.few(settings.metric_count))
    features = _features(settings.extractor, scene)
    trigger, more = _moments(settings.metric_every), {"evaluations": settings.evaluations, "seed": scene.seed}
    found: list[Callback] = [
        SampleMetric(trigger, scene.model, events, metric, features.make, labels=labels, condition=rows, **more)
    ]
    if settings.best != "metric":
        return found
    meaning = f"{len(events)} samples of {settings.evaluations} evaluations, features {features.name}"
    return [*found, _best(settings.metric_every, scene.folder, metric, meaning)]


def _best(every: int, folder: Path, by: str, meaning: str) -> Callback:
    from sde_diffusion.callbacks import KeepBest

    return KeepBest(_moments(every), folder, by, meaning)


@dataclass(frozen=True)
class _Features:
    """The features of a metric: their name, and what makes their extractor once it is needed."""

    name: str
    make: Callable[[], Any]


def _features(asked: str | None, scene: WatchedRun) -> _Features:
    """Those that are asked for, or those that suit the data; ValueError, before anything is trained, for others."""
    from sde_diffusion.cli import factories
    from sde_diffusion.evaluation.columns import in_units_of_columns
    from sde_diffusion.evaluation.evaluator import of_columns
    from sde_diffusion.specs import parse, to_text

    source = scene.source
    labelled = len(source.event_shape) == 3 and source.classes is not None
    if asked is None and of_columns(source):
        return _Features("scaled_columns", lambda: in_units_of_columns(scene.first(scene.few(LEARNT_FROM))))
    named = parse(asked or ("classifier" if labelled else "pixels"))
    if named["name"] == "classifier":
        if not labelled:
            raise ValueError("the extractor classifier needs labelled images; take pixels")
        return _Features("classifier", lambda: factories.extractor(named, lambda: _classifier(scene)))
    made = factories.extractor(named, lambda: _classifier(scene))
    return _Features(to_text(named), lambda: made)


def _classifier(scene: WatchedRun) -> Any:
    """A classifier of the data's own classes, from training examples; a function of the data and the seed."""
    from sde_diffusion.metrics import train_classifier

    x, labels = scene.source.batch(_range(min(scene.few(LEARNT_FROM), scene.source.size())))
    if labels is None or scene.source.classes is None:
        raise ValueError("a classifier needs labelled images; take the extractor pixels")
    return train_classifier(x, labels, scene.source.classes, seed=scene.seed)


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


def _trackers(settings: CallbackSettings, folder: Path) -> list[Callback]:
    """TensorBoard and the service; ValueError for one whose package is missing."""
    from sde_diffusion.callbacks import TensorBoard

    try:
        found: list[Callback] = [TensorBoard(folder)] if settings.tensorboard else []
        return found + ([] if settings.tracker is None else [_tracker(settings.tracker)(folder, settings.project)])
    except ImportError as error:
        raise ValueError(str(error)) from error


def _tracker(name: str) -> Any:
    """The callback of a service; each is imported on its own."""
    import importlib

    return getattr(importlib.import_module(f"sde_diffusion.callbacks.{name}"), TRACKERS[name])
