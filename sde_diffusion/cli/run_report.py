"""A run's report: figures, tables and how it was made, as report.md, report.html and results.json in the run's folder.

Imported only when a report is written.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sde_diffusion.cli.evaluation import SETS, Evaluation, worst_ratio
from sde_diffusion.cli.model import Model
from sde_diffusion.evaluation.comparison import Score, times
from sde_diffusion.evaluation.evaluator import Copying
from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.io.atomic import replace_file, to_json
from sde_diffusion.metrics import Estimate, total_variation
from sde_diffusion.report.page import Block, Grid, Heading, Listing, Paragraph, Picture, write_page
from sde_diffusion.report.plots.bars import class_shares
from sde_diffusion.report.plots.cost import cost_plot
from sde_diffusion.report.plots.images import gallery
from sde_diffusion.report.plots.neighbours import neighbours
from sde_diffusion.report.plots.points import plot_points
from sde_diffusion.report.plots.training import training_curve
from sde_diffusion.report.table import Table
from sde_diffusion.training.run_folder import RunFolder

SHOWN = 48
"""How many samples of each sampler the gallery shows."""


def write_report(
    folder: Path, title: str, model: Model, found: Evaluation, films: list[Path], asked: dict[str, Any]
) -> Path:
    """Write the figures, the page and results.json, which says what was `asked`, and return the page's path."""
    figures = folder / "figures"
    blocks = [
        *_summary(found),
        *_samples(found, figures),
        *_distances(found, figures),
        *_classes(found, figures),
        *_neighbours(found, figures),
        *_films(films),
        *_training(RunFolder(folder), figures),
        *_made(RunFolder(folder), model),
    ]
    _, page = write_page(folder, title, blocks)
    replace_file(folder / "results.json", to_json({"asked": asked, **results(found)}))
    return page


def results(found: Evaluation) -> dict[str, Any]:
    """The numbers of the report as plain data."""
    copying = {label: _copying(one) for label, one in found.copying.items()}
    floor = {name: vars(estimate) for name, estimate in found.judge.floor.items()}
    return {
        "samplers": [trial.as_dict() for trial in found.trials],
        "sweep": [trial.as_dict() for trial in found.sweep.trials],
        "real": floor,
        "class_shares": {name: values.tolist() for name, values in found.shares.items()},
        "nearest_training_event": copying,
    }


def _copying(one: Copying) -> dict[str, float]:
    medians = float(one.distances.median()), float(one.real.median())
    return {"median": medians[0], "held_out_median": medians[1], "copied": one.copied}


def metrics_table(found: Evaluation) -> Table:
    """A row for each sampler and one for real data: recipe, cost, each distance with its interval and ratio."""
    names = list(found.judge.floor)
    heads = ["sampler", "steps", "NFE", "seconds", *(head for name in names for head in (f"{name} [95%]", "ratio"))]
    rows = [[*trial.cost(), *(cell for score in trial.scores for cell in _interval(score))] for trial in found.trials]
    real = [cell for estimate in found.judge.floor.values() for cell in (_spread(estimate), "1.00")]
    return Table(
        heads, [*rows, ["real training data", "-", "-", "-", *real]], f"{SETS} sets of {found.judge.count} samples each"
    )


def _interval(score: Score) -> tuple[str, str]:
    return _spread(score), times(score.ratio or math.nan)


def _spread(estimate: Score | Estimate) -> str:
    return f"{estimate.value:.3g} [{max(estimate.low, 0.0):.3g}, {estimate.high:.3g}]"


def _summary(found: Evaluation) -> list[Block]:
    best, count = found.best, found.judge.count
    ratios = ", ".join(f"{score.name}: {score.ratio:.2f}" for score in best.scores)
    return [
        Paragraph(
            f"The best of {len(found.trials)} samplers, {best.label}, makes samples whose distance to held-out data is "
            f"at most {worst_ratio(best):.2f} times that of as many real training events ({ratios}), with "
            f"{best.evaluations:g} evaluations of the network for each sample. Every distance compares {count} events "
            f"with {count}: that of finite sets is never zero, and only its ratio to that of real data means something."
        )
    ]


def _samples(found: Evaluation, figures: Path) -> list[Block]:
    real, path = found.judge.held_out, figures / "samples.png"
    if real.ndim != 4:
        plot_points({"held-out data": real, **{t.label: found.drawn[t.label].x for t in found.trials}}, path)
        return [Heading("Samples"), Picture(path, "Held-out data and the samples of each sampler.")]
    names = [f"{t.label}: {t.recipe}, {t.evaluations:g} evaluations" for t in found.trials]
    rows = {name: found.drawn[t.label].x[:SHOWN] for name, t in zip(names, found.trials, strict=True)}
    gallery({"held-out data": real[:SHOWN], **rows}, path)
    words = f"Held-out data and the first {SHOWN} samples of each sampler, not chosen."
    return [Heading("Samples"), Picture(path, words)]


def _distances(found: Evaluation, figures: Path) -> list[Block]:
    path = cost_plot(found.sweep.panels(), figures / "cost.png", "Distance to held-out data against cost")
    recipes = Table(("sampler", "recipe", "steps"), [(t.label, t.recipe, str(t.steps)) for t in found.trials])
    return [
        Heading("Distances"),
        Grid(metrics_table(found)),
        Paragraph(
            f"A distance is the mean over {SETS} sets of samples, that of real data the mean over disjoint sets of "
            "training events. Intervals are 95%, by random halves of samples and held-out events. Seconds are those "
            "of all samples on this machine."
        ),
        Grid(recipes),
        Picture(path, "Distance against evaluations of the network for each sample; the grey band is real data's."),
    ]


def _classes(found: Evaluation, figures: Path) -> list[Block]:
    if not found.shares:
        return []
    real = found.shares["held out"]
    path = class_shares({name: values.tolist() for name, values in found.shares.items()}, figures / "classes.png")
    heads = ["set", *map(str, range(len(real))), "total variation"]
    rows = [
        [name, *(f"{100 * share:.1f}%" for share in values.tolist()), f"{total_variation(values, real):.3f}"]
        for name, values in found.shares.items()
    ]
    words = "A classifier trained on the real training pictures names the samples; held-out ones go by their labels."
    return [Heading("Classes"), Paragraph(words), Grid(Table(heads, rows)), Picture(path, "The share of each class.")]


def _neighbours(found: Evaluation, figures: Path) -> list[Block]:
    label = found.best.label
    one, x = found.copying[label], found.drawn[label].x
    rows = [
        [name, f"{each.distances.median():.3f}", f"{each.distances.min():.3f}", f"{100 * each.copied:.1f}%"]
        for name, each in found.copying.items()
    ]
    rows.append(["held-out data", f"{one.real.median():.3f}", f"{one.real.min():.3f}", "1.0%"])
    heads = ["set", "median distance", "smallest", "nearer than 99% of held-out"]
    blocks: list[Block] = [
        Heading("Nearest training events"),
        Paragraph(
            "Copies lie nearer to the training data than new data do. Distances are Euclidean; the last column counts "
            "the samples that are nearer to a training event than all but 1% of the held-out events are."
        ),
        Grid(Table(heads, rows)),
    ]
    if x.ndim != 4:
        return blocks
    histograms = {"held-out data": one.real, label: one.distances}
    path = neighbours(x, one.closest, histograms, figures / "neighbours.png")
    return [*blocks, Picture(path, f"The first samples of {label}, their nearest training pictures, all distances.")]


def _films(films: list[Path]) -> list[Block]:
    caption = "Held-out data made noisy, and noise brought back."
    moving = [Picture(path, caption) for path in films if path.suffix != ".png"]
    return [Heading("There and back"), *moving] if films else []


def _training(run: RunFolder, figures: Path) -> list[Block]:
    records = metrics_file.read(run.metrics_file)
    known, held_out = _rows(records, "step", "loss"), _rows(records, "step", "held_out_loss", "held_out_error")
    if not known:
        return []
    steps, losses = zip(*known, strict=True)
    path = training_curve(steps, losses, figures / "training.png", held_out)
    curve = Picture(path, f"The loss over {steps[-1]} steps{', and that of held-out events' if held_out else ''}.")
    return [Heading("Training"), curve, *_watched(run)]


def _rows(records: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """The named numbers of the records that have all of them."""
    rows = [tuple(record.get(name) for name in names) for record in records]
    return [row for row in rows if all(isinstance(number, (int, float)) for number in row)]


def _watched(run: RunFolder) -> list[Block]:
    """What observers of the training drew."""
    drawn = [
        Picture(run.path / "loss_by_level.png", "The error of the averaged model on held-out events by noise level."),
        Picture(run.path / "pictures" / "film.gif", "Samples of the same noise as the averaged model learns."),
    ]
    return [picture for picture in drawn if picture.path.exists()]


def _made(run: RunFolder, model: Model) -> list[Block]:
    import torch

    count = sum(parameter.numel() for parameter in model.denoiser.parameters())
    machine = f"{model.device.type}, {torch.get_num_threads()} threads, {count:,} parameters"
    made = {"config": run.config(), "versions": run.versions()}
    return [
        Heading("How it was made"),
        Paragraph(f"{machine}. The same command on the same configuration makes it again."),
        Listing(json.dumps(made, indent=2, sort_keys=True)),
    ]
