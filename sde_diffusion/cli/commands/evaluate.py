"""Evaluate a run's samples against held-out data: each metric with its 95% interval, beside that of real data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.folders import below, ending, folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.cli.results_folder import results_folder
from sde_diffusion.io.terminal import say
from sde_diffusion.specs import parse, to_text

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.evaluation.metrics_report import MetricsReport
    from sde_diffusion.evaluation.on_model import FeatureSpace
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.sampling.sampler import Sampler


@dataclass(frozen=True)
class Settings:
    """What to evaluate.

    Attributes:
        run: the run's name or folder; samples are compared with the held-out part of its data.
        sampler: a named sampler, reversal/method/steps/spacing (`info` lists them), or a file of `tune`.
        steps: number of solver steps; the sampler's own unless given.
        data: the place where the run's data are now; the one in its record unless given.
        samples: existing samples to evaluate, samples.safetensors of `sample` or a folder of images.
        count: maximal number of samples, of held-out and of real training examples; fewer where there are fewer.
        sets: number of sets of that many samples; each metric is the mean over the sets.
        seed: random seed of the samples, the classifier and the intervals.
        extractor: the features to compare in, such as pixels, classifier or inception(weights=FILE); by default a
            classifier's features for labelled images, and the values themselves for other data.
        chunk: batch size of the networks.
        checkpoint: whose weights, of a run: newest, best (by what `train --watch.best` says) or the number of a step.
        output: another folder than RUN/evaluate/SAMPLES-EXTRACTOR-seedSEED.
        device: auto, cpu or cuda.
    """

    run: str = positional()
    sampler: str = "default"
    steps: int | None = None
    data: Any = None
    samples: str | None = None
    count: int = 10_000
    sets: int = 1
    seed: int = 0
    extractor: str | None = None
    chunk: int = 256
    checkpoint: str | None = None
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("count", 12), ("sets", 1), ("chunk", 1), ("steps", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 10**7:
                raise ValueError(f"{name} is between {least} and 10000000, got {value}; correct it")


def run(settings: Settings) -> None:
    """Measure, write evaluation.json, evaluation.md and evaluation.png, and then print the table."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import load_model

    source = run_folder(settings.run)
    found, paths = _measured(settings, source, load_model(source, device_of(settings.device), settings.checkpoint))
    for table in found.tables():
        table.print()
    for path in paths:
        say(path)


def _measured(settings: Settings, source: Path, model: DiffusionModel) -> tuple[MetricsReport, list[Path]]:
    from sde_diffusion.cli.model import data_of
    from sde_diffusion.evaluation.on_model import (
        asked_of,
        default_features,
        evaluate_sampler,
        evaluate_samples,
        evaluator_for,
    )

    x, recipe = _samples(settings, model)
    data, most = data_of(model, settings.data), settings.count if x is None else min(settings.count, len(x))
    features = default_features(data) if settings.extractor is None else _features(settings.extractor)
    asked = asked_of(model) if x is None else {}
    evaluator = evaluator_for(data, features, most, settings.seed, settings.chunk, model.device, **asked)
    words, subject = str(recipe if x is None else settings.samples), f"run {source.name}"
    folder = _folder(settings, source, f"{words}-{features.name}", evaluator.count)
    decided = {name: value for name, value in asdict(settings).items() if (name, value) != ("checkpoint", None)}
    with results_folder(folder, "evaluate", {**decided, "run": str(source)}):
        if x is None:
            found = evaluate_sampler(evaluator, model, recipe, features.name, subject, settings.sets, settings.chunk)
        else:
            found = evaluate_samples(evaluator, x[: evaluator.count], features.name, subject, words)
        return found, found.write(folder)


def _features(extractor: str) -> FeatureSpace:
    """The features of a named extractor."""
    from sde_diffusion.cli import factories as build
    from sde_diffusion.evaluation.on_model import FeatureSpace

    named = parse(extractor)
    return FeatureSpace(
        to_text(named),
        lambda evaluator: build.extractor(named, evaluator.known_classifier),
        named["name"] == "classifier",
    )


def _folder(settings: Settings, source: Path, words: str, count: int) -> Path:
    if settings.output is not None:
        return folder_of(settings.output)
    size = f"seed{settings.seed}-n{count}" + (f"x{settings.sets}" if settings.sets > 1 else "")
    return below(source, "evaluate", f"{_slug(words)}-{size}{ending(settings.checkpoint)}")


def _samples(settings: Settings, model: DiffusionModel) -> tuple[Tensor | None, Sampler]:
    """The samples of `--samples`, or None, and the sampler that makes them otherwise."""
    from sde_diffusion.cli.load_samples import load_samples
    from sde_diffusion.cli.sampler_specs import sampler

    recipe = sampler(settings.sampler)
    recipe = recipe if settings.steps is None else recipe.with_steps(settings.steps)
    if settings.samples is None:
        return None, recipe
    return load_samples(Path(settings.samples), tuple(model.event_shape)), recipe


def _slug(words: str) -> str:
    """The last 120 characters, all but letters and digits replaced: a part of a folder's name."""
    return "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in words)[-120:].strip("-.")
