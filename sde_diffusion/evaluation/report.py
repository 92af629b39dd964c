"""A run's report: figures, tables and how the run was made, as report.md, report.html and results.json in its folder."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from sde_diffusion.evaluation.comparison import SamplerResult, Score, times
from sde_diffusion.evaluation.evaluator import Copying
from sde_diffusion.evaluation.on_model import SETS, Survey
from sde_diffusion.evaluation.training_blocks import overfitting, skipped, trained, training_blocks, training_film
from sde_diffusion.io.atomic import replace_file
from sde_diffusion.metrics import Estimate, total_variation
from sde_diffusion.model import DiffusionModel
from sde_diffusion.report.page import Block, Grid, Heading, Listing, Paragraph, Picture, write_page
from sde_diffusion.report.plain_data import report_json
from sde_diffusion.report.plots.bars import class_shares
from sde_diffusion.report.plots.cost import cost_plot
from sde_diffusion.report.plots.images import gallery
from sde_diffusion.report.plots.neighbours import neighbours
from sde_diffusion.report.plots.points import plot_points
from sde_diffusion.report.table import Table
from sde_diffusion.training.run_folder import RunFolder

SHOWN = 48
"""How many samples of each sampler the gallery shows."""


def write_report(
    folder: Path,
    title: str,
    model: DiffusionModel,
    found: Survey,
    films: list[Path],
    asked: dict[str, Any],
    weights: str = "",
) -> Path:
    """Write the figures, the page and results.json, and return the page's path.

    `films` are animations of the forward and reverse process; `asked` goes into results.json. `weights` is a sentence on
    which of the run's averages was measured.
    """
    figures, run = folder / "figures", RunFolder(folder)
    blocks = [
        Paragraph(" ".join(filter(None, (trained(run, model), weights)))),
        *training_film(run),
        *_summary(found),
        *map(Paragraph, [*skipped(run), *overfitting(run)]),
        *_samples(found, figures),
        *_distances(found, figures),
        *_classes(found, figures),
        *_neighbours(found, figures),
        *_films(films),
        *training_blocks(run, figures),
        *_next(folder),
        *_made(run, model),
    ]
    replace_file(folder / "results.json", report_json({"asked": asked, **results(found)}))
    _, page = write_page(folder, title, blocks)
    return page


def results(found: Survey) -> dict[str, Any]:
    """The numbers of the report as plain data."""
    copying = {label: _copying(one) for label, one in found.copying.items()}
    return {
        "samplers": [result.as_dict() for result in found.results],
        "recommended": found.recommended.label,
        "sweep": [result.as_dict() for result in found.sweep.results],
        "real": {name: vars(estimate) for name, estimate in found.evaluator.real_baseline.items()},
        "class_shares": {name: values.tolist() for name, values in found.shares.items()},
        "nearest_training_example": copying,
    }


def _copying(one: Copying) -> dict[str, float]:
    return {
        "median": float(one.distances.median()),
        "held_out_median": float(one.held_out_distances.median()),
        "memorisation_rate": one.memorisation_rate,
    }


def metrics_table(found: Survey) -> Table:
    """A row for each sampler and one for real data: cost, each distance with its interval and ratio."""
    names = list(found.evaluator.real_baseline)
    heads = ["sampler", "steps", "NFE", "seconds", *(head for name in names for head in (f"{name} [95%]", "ratio"))]
    rows = [[*one.cost(), *(cell for score in one.scores for cell in _interval(score))] for one in found.results]
    real = [cell for estimate in found.evaluator.real_baseline.values() for cell in (_spread(estimate), "1.00")]
    title = f"{SETS} sets of {found.evaluator.count} samples each"
    return Table(heads, [*rows, ["real training data", "-", "-", "-", *real]], title)


def _interval(score: Score) -> tuple[str, str]:
    return _spread(score), times(score.ratio or math.nan)


def _spread(estimate: Score | Estimate) -> str:
    return f"{estimate.value:.3g} [{max(estimate.low, 0.0):.3g}, {estimate.high:.3g}]"


def _summary(found: Survey) -> list[Block]:
    one, count = found.recommended, found.evaluator.count
    ties = len(found.ties_with_best)
    rank = (
        f"It is the cheapest of {ties} samplers (of {len(found.results)}) whose 95% intervals overlap with those of the best "
        "one: these data do not distinguish them."
        if ties > 1
        else f"It is the best of {len(found.results)} samplers, and these data distinguish it from all others."
    )
    words = (
        f"Recommended sampler: {one.label}, with {one.evaluations:g} network evaluations for each sample. {rank} Its samples' "
        f"distance to held-out data is at most {one.worst_ratio:.2f} times that of as many real training examples. Every "
        f"distance compares {count} samples with {count} held-out examples; between finite sets it is never zero, so read the "
        "ratio to real data."
    )
    rows = [
        [*_described(result), f"{100 * found.copying[result.label].memorisation_rate:.1f}%", _verdict(result, found)]
        for result in found.results
    ]
    heads = ["sampler", "NFE", "seconds", "worst ratio", "memorisation rate", "verdict"]
    return [Paragraph(words), Grid(Table(heads, rows))]


def _described(result: SamplerResult) -> list[str]:
    return [result.label, f"{result.evaluations:g}", f"{result.seconds:.2f}", times(result.worst_ratio)]


def _verdict(result: SamplerResult, found: Survey) -> str:
    """What the intervals say of one sampler."""
    if result is found.recommended:
        return "recommended"
    if result is found.best:
        return "lowest ratio"
    return "cannot be distinguished from the best" if result in found.ties_with_best else "worse than the best"


def _samples(found: Survey, figures: Path) -> list[Block]:
    real, path = found.evaluator.held_out, figures / "samples.png"
    if real.ndim != 4:
        samples = {one.label: found.generated[one.label].x for one in found.results}
        if real.flatten(1).shape[1] != 2:
            return []
        plot_points({"held-out data": real, **samples}, path)
        return [Heading("Samples"), Picture(path, "Held-out data and the samples of each sampler.")]
    rows = {
        f"{one.label}: {one.sampler}, {one.evaluations:g} evaluations": found.generated[one.label].x[:SHOWN]
        for one in found.results
    }
    gallery({"held-out data": real[:SHOWN], **rows}, path)
    words = f"Held-out data and the first {SHOWN} samples of each sampler, not selected."
    return [Heading("Samples"), Picture(path, words)]


def _distances(found: Survey, figures: Path) -> list[Block]:
    path = cost_plot(found.sweep.panels(), figures / "cost.png", "Distance to held-out data against cost")
    samplers = [(one.label, one.sampler, str(one.steps)) for one in found.results]
    return [
        Heading("Distances"),
        Grid(metrics_table(found)),
        Paragraph(
            f"A distance is the mean over {SETS} sets of samples, that of real data the mean over disjoint sets of "
            "training examples. Intervals are 95%, by random halves of samples and held-out examples. Seconds are those "
            "of all samples on this machine."
        ),
        Grid(Table(("sampler", "equation / method / steps / spacing", "steps"), samplers)),
        Picture(path, "Distance against network evaluations for each sample; the grey band is that of real data."),
    ]


def _classes(found: Survey, figures: Path) -> list[Block]:
    if not found.shares:
        return []
    real = found.shares["held out"]
    counts = {name: len(found.generated[name].x) if name in found.generated else found.evaluator.count
              for name in found.shares}  # fmt: skip
    shares = {name: values.tolist() for name, values in found.shares.items()}
    path = class_shares(shares, figures / "classes.png", counts)
    heads = ["set", *map(str, range(len(real))), "total variation"]
    rows = [
        [name, *(f"{100 * share:.1f}%" for share in values.tolist()), f"{total_variation(values, real):.3f}"]
        for name, values in found.shares.items()
    ]
    words = "A classifier trained on real training images labels the samples; held-out images have their own labels."
    caption = "The share of each class, with 95% intervals of the counts."
    return [Heading("Classes"), Paragraph(words), Grid(Table(heads, rows)), Picture(path, caption)]


def _neighbours(found: Survey, figures: Path) -> list[Block]:
    label = found.recommended.label
    one, x = found.copying[label], found.generated[label].x
    rows = [
        [name, f"{each.distances.median():.3f}", f"{each.distances.min():.3f}", f"{100 * each.memorisation_rate:.1f}%"]
        for name, each in found.copying.items()
    ]
    real = one.held_out_distances
    rows.append(["held-out data", f"{real.median():.3f}", f"{real.min():.3f}", "1.0%"])
    words = (
        "Memorised samples lie nearer to the training data than new data do. Distances are Euclidean. The memorisation rate "
        "is the share of samples that are nearer to a training example than all but 1% of the held-out examples."
    )
    heads = ["set", "median distance", "smallest", "memorisation rate"]
    blocks: list[Block] = [Heading("Nearest training examples"), Paragraph(words), Grid(Table(heads, rows))]
    if x.ndim != 4:
        return blocks
    histograms = {"held-out data": real, label: one.distances}
    path = neighbours(x, one.closest, histograms, figures / "neighbours.png")
    return [*blocks, Picture(path, f"The first samples of {label}, their nearest training images, and all distances.")]


def _films(films: list[Path]) -> list[Block]:
    caption = "The forward process adds noise to held-out data; the reverse process turns noise into samples."
    moving = [Picture(path, caption) for path in films if path.suffix != ".png"]
    return [Heading("Forward and reverse process"), *moving] if films else []


def _next(folder: Path) -> list[Block]:
    commands = [
        f"sde-diffusion sample {folder} --count 16            # samples, as a picture and as numbers",
        f"sde-diffusion likelihood {folder}                   # bits per dimension of held-out data",
        f"sde-diffusion tune {folder}                         # a solver tuned to this model",
        f"sde-diffusion export {folder} FOLDER                # share the model, with a model card",
        'sde-diffusion train --data "image_folder(root=FOLDER)" --name mine     # your own data',
    ]
    return [Heading("What next"), Listing("\n".join(commands))]


def _made(run: RunFolder, model: DiffusionModel) -> list[Block]:
    import torch

    machine = f"Made on {model.device.type} with {torch.get_num_threads()} threads."
    made = {"config": run.config(), "versions": run.versions()}
    return [
        Heading("How it was made"),
        Paragraph(f"{machine} The same command with the same configuration makes it again."),
        Listing(json.dumps(made, indent=2, sort_keys=True)),
    ]
