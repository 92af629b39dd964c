"""The best average of a run in the place of its newest one, and a sentence that says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sde_diffusion.model import DiffusionModel


def best_model(folder: Path, newest: DiffusionModel) -> tuple[DiffusionModel, str]:
    """The model of a run with its best average, or the newest one of a run that keeps none; a sentence on which it is."""
    from sde_diffusion.cli.model import load_model
    from sde_diffusion.io import json_lines
    from sde_diffusion.training.checkpoints import best
    from sde_diffusion.training.run_folder import RunFolder

    run = RunFolder(folder)
    found = best.best_of(best.all_in(run.best))
    if found is None:
        return newest, "The weights are those of the last step."
    lines = [line for line in json_lines.read(run.metrics_file) if found.by in line]
    last = lines[-1]["step"], lines[-1][found.by]
    named = f"{found.by.replace('_', ' ')} was lowest: {found.value:.4g}"
    if last[0] == found.step:
        return newest, f"The weights are those of the last step, where the {named}."
    words = (
        f"The weights are those after step {found.step}, where the {named}, against {last[1]:.4g} after step {last[0]}."
    )
    return load_model(folder, newest.device, "best"), words
