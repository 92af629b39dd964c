"""The whole way on handwritten digits: train, sample with several samplers, compare them, draw, report."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli.callback_settings import CallbackSettings
from sde_diffusion.cli.config import RunConfig
from sde_diffusion.cli.folders import new_folder
from sde_diffusion.cli.sampler_specs import COMPARED, samplers
from sde_diffusion.io.plain import as_read_back, read_json
from sde_diffusion.io.terminal import say
from sde_diffusion.specs import Spec, spec

if TYPE_CHECKING:
    from sde_diffusion.data import DataSource
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.sampling.sampler import Sampler


@dataclass(frozen=True)
class Settings(RunConfig):
    """The run, the samplers and what to draw; the defaults take about two minutes on two cores.

    Attributes:
        network: the backbone and its arguments; a small MLP without labels unless given, for two minutes on a CPU.
        name: the run's name; its folder is runs/NAME.
        output: another folder for the run.
        samplers: a list, each named or as reversal/method/steps/spacing, in quotes where it holds a comma.
        budgets: evaluations for each sample at which they are compared, besides their own.
        frames: moments of the film each way; 0 for no film.
        seed: from which all samples are made.
        device: auto, cpu or cuda.
        watch: what is seen of the model while it trains; it changes nothing.
    """

    network: Spec | str = field(default_factory=partial(spec, "mlp"))
    name: str = "demo"
    output: str | None = None
    samplers: list[str] = field(default_factory=lambda: list(COMPARED))
    budgets: list[int] = field(default_factory=lambda: [8, 16, 32, 64])
    frames: int = 20
    seed: int = 0
    device: str = "auto"
    watch: CallbackSettings = field(default_factory=CallbackSettings)

    def asked(self) -> dict[str, Any]:
        """What the evaluation depends on besides the run."""
        asked = {"samplers": self.samplers, "budgets": self.budgets, "frames": self.frames, "seed": self.seed}
        return asked | {"checkpoint": self.watch.best}


def run(settings: Settings) -> None:
    """Do what is not yet done, print the comparison, and say where everything is."""
    start, folder = time.perf_counter(), new_folder(settings.name, settings.output)
    recipes = samplers(settings.samplers)
    from sde_diffusion.cli import factories as build
    from sde_diffusion.cli.best import best_model
    from sde_diffusion.cli.device import device_of
    from sde_diffusion.cli.model import train_model

    source = build.data(settings.part("data"))
    say(f"training {settings.training.steps} steps on {settings.part('data')['name']}, in {folder}/")
    model = train_model(folder, settings, device_of(settings.device), watch=settings.watch)
    if not _done(folder, settings):
        model, weights = best_model(folder, model)
        _evaluate(settings, recipes, folder, model, source, weights)
    say(f"{time.perf_counter() - start:.0f} s; the report, the pictures and the model are in {folder}/")
    say(f"open {folder / 'report.html'}")


def _done(folder: Path, settings: Settings) -> bool:
    """Whether the folder holds the report of these settings already."""
    results = folder / "results.json"
    if not results.exists() or not (folder / "report.html").exists():
        return False
    try:
        return read_json(results)["asked"] == as_read_back(settings.asked())
    except (ValueError, KeyError, TypeError):
        return False


def _evaluate(
    settings: Settings, recipes: list[Sampler], folder: Path, model: DiffusionModel, source: DataSource, weights: str
) -> None:
    from sde_diffusion.evaluation.on_model import survey
    from sde_diffusion.evaluation.report import metrics_table, write_report

    say(f"{weights}\nsampling with {len(recipes)} samplers, comparing, drawing")
    found = survey(model, source, recipes, settings.budgets, settings.seed, f"run {folder.name}")
    found.sweep.write(folder)
    films = _film(settings, folder, model, source)
    write_report(folder, f"Run {folder.name}", model, found, films, settings.asked(), weights)
    metrics_table(found).print()


def _film(settings: Settings, folder: Path, model: DiffusionModel, source: DataSource) -> list[Path]:
    if settings.frames == 0:
        return []
    from sde_diffusion.report.animation.films import of_model
    from sde_diffusion.report.animation.frames import write_film

    x0 = model.to_standard(source.tensors("held_out")[0]).to(model.device)
    units = model.standardization.from_standard
    shown = of_model(model.sde, model.denoiser, x0, None, settings.frames, settings.seed, units)
    return list(
        write_film(shown.frames, shown.captions, folder / "figures" / "film.gif", folder / "figures" / "film.png")
    )
