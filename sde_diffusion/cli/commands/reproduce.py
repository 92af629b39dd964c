"""Reproduce a published figure: data, training, samples, the figure beside real data and the expected one, and the bill."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import new_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.reproductions import Recipe, expected, recipe
from sde_diffusion.io.terminal import say

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.data import DataSource
    from sde_diffusion.evaluation.generate import Generated
    from sde_diffusion.evaluation.metrics_report import MetricsReport
    from sde_diffusion.evaluation.reproduction import Figure, Reproduction
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.sampling.sampler import Sampler

SECONDS = "seconds.json"
"""How long each part took, in the run's folder, summed over the calls of a run that went on."""
SHOWN = 10
"""How many samples of each class the picture shows."""


@dataclass(frozen=True)
class Settings:
    """What to reproduce.

    Attributes:
        name: the recipe: fashion-mnist.
        quick: a short run with a small network, which shows that everything works; its figures mean nothing.
        root: the folder that holds the data set's, and where it is downloaded to.
        steps: another number of training steps than the recipe's; the expected figures are those of the recipe's own.
        seed: of the training, the samples, the classifier and the intervals.
        output: another folder than runs/reproduce-NAME.
        device: auto, cpu or cuda.
    """

    name: str = positional()
    quick: bool = False
    root: str = "data"
    steps: int | None = None
    seed: int = 0
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps is at least 1, got {self.steps}; correct it")

    @property
    def own(self) -> bool:
        """Whether these are the recipe's own settings, to which the expected figures belong."""
        return not self.quick and self.steps is None


def run(settings: Settings) -> int:
    """Do it, write the page and the JSON, and print the figures; 1 where one differs from what is expected."""
    wanted = _asked(settings, recipe(settings.name, settings.root, settings.quick))
    folder = new_folder(f"reproduce-{settings.name}{'-quick' if settings.quick else ''}", settings.output)
    found = _reproduced(settings, wanted, folder)
    paths = found.write(folder)
    for table in (found.table(), found.bill_table()):
        table.print()
    for path in paths:
        say(path)
    return int(not all(found.verdicts().values()))


def _asked(settings: Settings, made: Recipe) -> Recipe:
    training = replace(made.config.training, seed=settings.seed)
    training = training if settings.steps is None else replace(training, steps=settings.steps)
    return replace(made, config=replace(made.config, training=training))


def _reproduced(settings: Settings, wanted: Recipe, folder: Path) -> Reproduction:
    from sde_diffusion.cli import factories
    from sde_diffusion.cli.callback_settings import CallbackSettings
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import train_model
    from sde_diffusion.evaluation.reproduction import Reproduction
    from sde_diffusion.report.plots.images import image_grid

    source, device = factories.data(wanted.config.part("data")), device_of(settings.device)
    watch = CallbackSettings(levels_every=0, pictures_every=0, best="none", held_out_every=0)
    with _timed(folder, "training", *_before(folder, wanted.config.training.steps)):
        model = train_model(folder, wanted.config, device, wanted.compute, watch=watch)
    guided = model if wanted.guidance is None else model.guided(wanted.guidance)
    with _timed(folder, "measuring"):
        figures, generated = _measured(settings, wanted, guided, source)
    picture = image_grid(_rows_of_classes(wanted, guided, settings.seed), folder / "samples.png", SHOWN)
    published = expected(settings.name) if settings.own else {"status": "none for these settings", "figures": {}}
    bill = _bill(folder, wanted, model, generated)
    return Reproduction(settings.name, _words(wanted), figures, wanted.goals, published, bill, picture)


def _measured(
    settings: Settings, wanted: Recipe, model: DiffusionModel, source: DataSource
) -> tuple[list[Figure], Generated]:
    """The figures, and the samples that they are of: as many as held-out examples, of the same classes."""
    from sde_diffusion.evaluation.on_model import CHUNK, evaluator_for, generated_for
    from sde_diffusion.evaluation.reproduction import figures_of

    figures, generated = [], None
    for name, metrics in wanted.features.items():
        more = {"conditional": True, "classifier_steps": wanted.classifier_steps}
        evaluator = evaluator_for(source, _space(name), wanted.count, settings.seed, CHUNK, model.device, **more)
        generated = generated or generated_for(evaluator, _sampler(wanted), model, settings.seed)
        figures += figures_of(_report(evaluator, generated.x, name), metrics)
    if generated is None:
        raise ValueError("a recipe compares samples in one kind of features at least")
    return figures, generated


def _report(evaluator: Any, x: Tensor, features: str) -> MetricsReport:
    """Every metric; with a classifier, how often it finds the class that was asked for as well."""
    from sde_diffusion.evaluation.metrics_report import REAL, SAMPLES
    from sde_diffusion.evaluation.on_model import evaluate_samples

    found = evaluate_samples(evaluator, x, features, "reproduction", "samples of its model")
    if features != "classifier":
        return found
    pairs = {SAMPLES: x, REAL: evaluator.held_out}
    return replace(found, accuracy={name: evaluator.accuracy(one, evaluator.labels) for name, one in pairs.items()})


def _space(name: str) -> Any:
    from sde_diffusion.evaluation.on_model import FeatureSpace
    from sde_diffusion.metrics import pixels

    if name == "pixels":
        return FeatureSpace("pixels", lambda _: pixels())
    return FeatureSpace("classifier", lambda evaluator: evaluator.known_classifier().features, learned=True)


def _sampler(wanted: Recipe) -> Sampler:
    from sde_diffusion.cli.sampler_specs import sampler

    return sampler(wanted.sampler).with_nfe(wanted.nfe)


def _rows_of_classes(wanted: Recipe, model: DiffusionModel, seed: int) -> Tensor:
    """Samples of each class in turn, `SHOWN` of each."""
    import torch

    classes = model.classes or 1
    labels = torch.arange(classes).repeat_interleave(SHOWN)
    asked: dict[str, Any] = {"label": labels} if model.classes else {}
    return model.sample(len(labels), _sampler(wanted), seed=seed, **asked)


@contextmanager
def _timed(folder: Path, part: str, before: float = 0.0, counts: bool = True) -> Iterator[None]:
    """Keep the seconds of the block and those `before` in the folder, also where it is left by an interrupt."""
    from sde_diffusion.io.atomic import replace_file, to_json

    start, path = time.perf_counter(), folder / SECONDS
    try:
        yield
    finally:
        if counts and folder.is_dir():
            replace_file(path, to_json({**_seconds(folder), part: before + time.perf_counter() - start}))


def _before(folder: Path, steps: int) -> tuple[float, bool]:
    """The seconds that the training has taken until now, and whether there is any left of it."""
    from sde_diffusion.training.checkpoints.checkpoint import checkpoints
    from sde_diffusion.training.run_folder import RunFolder

    there = checkpoints(RunFolder(folder).checkpoints)
    return _seconds(folder).get("training", 0.0) if there else 0.0, steps not in there


def _seconds(folder: Path) -> dict[str, float]:
    from sde_diffusion.io.plain import read_json

    path = folder / SECONDS
    return read_json(path) if path.is_file() else {}


def _bill(folder: Path, wanted: Recipe, model: DiffusionModel, generated: Generated) -> dict[str, Any]:
    """What it cost. A step of training is counted as three ways of each sample through the network."""
    import torch

    from sde_diffusion.networks import cost

    seconds, training = _seconds(folder), wanted.config.training
    one = cost(model.denoiser.backbone, model.event_shape)  # pyright: ignore
    trained, sampled = training.steps * training.batch_size, generated.evaluations * len(generated.x)
    return {
        "training, hours": seconds.get("training", 0.0) / 3600,
        "measuring, hours": seconds.get("measuring", 0.0) / 3600,
        "of it sampling, hours": generated.seconds / 3600,
        "parameters": one.parameters,
        "training, samples": trained,
        "training, operations": 3.0 * one.flops * trained,
        "sampling, operations": float(one.flops * sampled),
        "device": f"{model.device.type}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {platform.platform()}",
    }


def _words(wanted: Recipe) -> list[str]:
    from sde_diffusion.specs import to_text

    config, training = wanted.config, wanted.config.training
    parts = {name: to_text(config.part(name)) for name in ("network", "data", "sde", "parameterization")}
    guidance = "" if wanted.guidance is None else f", guidance {wanted.guidance}"
    return [
        f"Trained: the network {parts['network']} on {parts['data']}, process {parts['sde']}, parameterization "
        f"{parts['parameterization']}, {training.steps} steps of {training.batch_size} examples.",
        f"Sampled: {wanted.sampler}, {wanted.nfe} evaluations for each sample{guidance}, classes those of the held-out examples.",
        "Real data: as many real training examples of the same classes against the same held-out ones. The classifier is "
        "trained by this command on training examples that are in no compared set.",
    ]
