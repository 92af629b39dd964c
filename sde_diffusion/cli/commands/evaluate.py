"""Measure a run's samples against held-out data: each figure with n, seed and interval, beside that of real data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sde_diffusion.cli.folders import folder_of, run_folder
from sde_diffusion.cli.options import positional
from sde_diffusion.specs import parse

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.cli.model import Model
    from sde_diffusion.cli.sampler_specs import Recipe


@dataclass(frozen=True)
class Settings:
    """What to measure.

    Attributes:
        run: the run's name or folder; its data's held-out part is what samples are compared with.
        sampler: a named sampler, reversal/method/steps/spacing (`info` lists them), or a file of `tune`.
        steps: another number of steps than the sampler's own.
        samples: samples to measure instead of drawing them; samples.safetensors of `sample`, or a folder of pictures.
        count: the most samples, and as many held-out and real training events; fewer where there are fewer.
        sets: how many sets of that many samples are drawn; a figure is the mean over them.
        seed: from which samples, the classifier and the intervals are made.
        extractor: in which features to compare, such as pixels, classifier or inception(weights=FILE); without it the
            classifier's where the data have classes, else the numbers as they are.
        chunk: how many events a network sees at once.
        output: another folder than RUN/evaluate/SAMPLES-EXTRACTOR-seedSEED.
        device: auto, cpu or cuda.
    """

    run: str = positional()
    sampler: str = "data_adams"
    steps: int | None = None
    samples: str | None = None
    count: int = 10_000
    sets: int = 1
    seed: int = 0
    extractor: str | None = None
    chunk: int = 256
    output: str | None = None
    device: str = "auto"

    def __post_init__(self) -> None:
        for name, least in (("count", 12), ("sets", 1), ("chunk", 1), ("steps", 1)):
            value = getattr(self, name)
            if value is not None and not least <= value <= 10**7:
                raise ValueError(f"{name} is between {least} and 10000000, got {value}; correct it")


def run(settings: Settings) -> None:
    """Measure, print the table, and write evaluation.json, evaluation.md and evaluation.png."""
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.folders import claim_output_folder
    from sde_diffusion.cli.measure_run import evaluator_of, measured_recipe, measured_samples
    from sde_diffusion.cli.model import load_model
    from sde_diffusion.specs import to_text

    source = run_folder(settings.run)
    model = load_model(source, device_of(settings.device))
    x, recipe = _samples(settings, model)
    count = settings.count if x is None else min(settings.count, len(x))
    wanted = None if settings.extractor is None else parse(settings.extractor)
    told = x is None and model.classes is not None
    judge, named = evaluator_of(model, wanted, count, settings.seed, settings.chunk, told)
    words = str(recipe) if x is None else str(settings.samples)
    ending = f"seed{settings.seed}-n{judge.count}" + (f"x{settings.sets}" if settings.sets > 1 else "")
    usual = source / "evaluate" / f"{_slug(f'{words}-{to_text(named)}')}-{ending}"
    folder = usual if settings.output is None else folder_of(settings.output)
    claim_output_folder(folder, "evaluate", {**asdict(settings), "run": str(source)})
    if x is None:
        found = measured_recipe(f"run {source.name}", judge, named, recipe, model, settings.chunk, settings.sets)
    else:
        found = measured_samples(f"run {source.name}", judge, named, x[: judge.count], words)
    found.table().print()
    for path in found.write(folder):
        print(path)


def _samples(settings: Settings, model: Model) -> tuple[Tensor | None, Recipe]:
    """The samples that are there already, or None, and the recipe by which they are drawn otherwise."""
    from sde_diffusion.cli.load_samples import load_samples
    from sde_diffusion.cli.sampler_specs import sampler

    recipe = sampler(settings.sampler)
    recipe = recipe if settings.steps is None else recipe.with_steps(settings.steps)
    if settings.samples is None:
        return None, recipe
    return load_samples(Path(settings.samples), tuple(model.facts.event_shape)), recipe


def _slug(words: str) -> str:
    """A folder's name for what is measured: its letters and digits, the last of them."""
    return "".join(letter if letter.isalnum() or letter in "._" else "-" for letter in words)[-120:].strip("-.")
