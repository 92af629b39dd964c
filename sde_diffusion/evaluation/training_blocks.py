"""What a report says of the training: one sentence, the curve, the film of early samples, and signs of overfitting."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from sde_diffusion.io import json_lines
from sde_diffusion.model import DiffusionModel
from sde_diffusion.report.page import Block, Heading, Picture
from sde_diffusion.report.plots.training import training_curve
from sde_diffusion.training.fitting import skipped_steps
from sde_diffusion.training.run_folder import RunFolder


def trained(run: RunFolder, model: DiffusionModel) -> str:
    """What was trained, in one sentence."""
    config = run.config()
    parts = {name: _name(config.get(name)) for name in ("network", "data", "sde", "objective")}
    parameters = sum(parameter.numel() for parameter in model.denoiser.parameters())
    training: Any = config.get("training", {})
    return (
        f"Trained: the network {parts['network']} ({parameters:,} parameters) on the data {parts['data']}, samples of shape "
        f"{tuple(model.event_shape)}, under the process {parts['sde']} with the objective {parts['objective']}, for "
        f"{training.get('steps', '?')} steps of {training.get('batch_size', '?')} examples."
    )


def _name(part: Any) -> str:
    return str(part.get("name", "?")) if isinstance(part, dict) else str(part)


def training_film(run: RunFolder) -> list[Block]:
    """The samples of the averaged model while it learnt, from the first steps on, where they were recorded."""
    film = run.path / "pictures" / "film.gif"
    caption = "Samples of the averaged model (EMA) during training, always from the same noise."
    return [Picture(film, caption)] if film.exists() else []


def overfitting(run: RunFolder) -> list[str]:
    """A sentence where the held-out loss was lower earlier, by more than twice the standard error of the difference."""
    rows = _rows(json_lines.read(run.metrics_file), "step", "held_out_loss", "held_out_error")
    if len(rows) < 2:
        return []
    (step, low, low_error), (_, last, last_error) = min(rows, key=lambda row: row[1]), rows[-1]
    if last - low <= 2 * math.hypot(low_error, last_error):
        return []
    return [
        f"Held-out loss was lowest at step {step} ({low:.3g} ± {low_error:.1g}) and is {last:.3g} ± {last_error:.1g} at the "
        "end: the model has begun to memorise its training data. Train for fewer steps, or on more data."
    ]


def skipped(run: RunFolder) -> list[str]:
    """A sentence where steps were skipped."""
    rows = _rows(json_lines.read(run.metrics_file), "step", "skipped")
    words = skipped_steps(rows[-1][1], rows[-1][0]) if rows else ""
    return [f"{words[0].upper()}{words[1:]}."] if words else []


def training_blocks(run: RunFolder, figures: Path) -> list[Block]:
    """The loss curve, and the error by noise level where it was recorded."""
    records = json_lines.read(run.metrics_file)
    known, held_out = _rows(records, "step", "loss"), _rows(records, "step", "held_out_loss", "held_out_error")
    if not known:
        return []
    steps, losses = zip(*known, strict=True)
    path = training_curve(steps, losses, figures / "training.png", held_out)
    curve = Picture(path, f"The loss over {steps[-1]} steps{', and that of held-out data' if held_out else ''}.")
    levels = run.path / "loss_by_level.png"
    by_level = [Picture(levels, "The error of the averaged model on held-out data by noise level.")]
    return [Heading("Training"), curve, *(by_level if levels.exists() else [])]


def _rows(records: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """The named numbers of the records that have all of them."""
    rows = [tuple(record.get(name) for name in names) for record in records]
    return [row for row in rows if all(isinstance(number, (int, float)) for number in row)]
