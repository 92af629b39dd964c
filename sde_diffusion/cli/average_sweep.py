"""The held-out loss of averages of several lengths, on the same noises, so that their differences are sharp.

Imported only when a command measures.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.cli import factories as build
from sde_diffusion.cli.model import Model, data_of
from sde_diffusion.report.plots.averages import length_plot
from sde_diffusion.report.table import Table

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.denoisers.base import Denoiser
    from sde_diffusion.training.ema.post_hoc import Fit


@dataclass(frozen=True)
class Sweep:
    """The losses (N,) of the held-out events, for each length and for the average of the newest checkpoint."""

    fits: Sequence[Fit]
    losses: Sequence[Tensor]
    usual: Tensor

    @property
    def best(self) -> Fit:
        """The length with the smallest mean loss."""
        return self.fits[self._first]

    @property
    def _first(self) -> int:
        means = [loss.mean().item() for loss in self.losses]
        return means.index(min(means))

    def rows(self) -> list[dict[str, Any]]:
        """For each length, and last for the usual average: the mean loss, and what it is above the best one's."""
        rows = [
            {"sigma_rel": one.sigma_rel, "residual": one.residual, **self._against_best(loss)}
            for one, loss in zip(self.fits, self.losses, strict=True)
        ]
        return [*rows, {"sigma_rel": None, "residual": None, **self._against_best(self.usual)}]

    def table(self) -> Table:
        """What the terminal shows."""
        rows = [
            [
                "decay" if row["sigma_rel"] is None else f"{row['sigma_rel']:g}",
                "-" if row["residual"] is None else f"{row['residual']:.2g}",
                *(f"{row['loss']:.5g}", f"{row['above_best']:.2g}", f"{row['standard_error']:.2g}"),
            ]
            for row in self.rows()
        ]
        heads = ["sigma_rel", "residual", "held-out loss", "above the best", "standard error of that"]
        return Table(heads, rows, f"Averages after step {self.best.step}, {len(self.usual)} held-out events")

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return {"step": self.best.step, "best": self.best.sigma_rel, "lengths": self.rows()}

    def picture(self, path: Path) -> Path:
        """Write loss against length."""
        *rows, usual = self.rows()
        lengths, losses, errors = ([row[name] for row in rows] for name in ("sigma_rel", "loss", "standard_error"))
        return length_plot(lengths, losses, errors, usual["loss"], path)

    def _against_best(self, loss: Tensor) -> dict[str, float]:
        """The standard error is that of the paired difference over events."""
        above = loss - self.losses[self._first]
        error = above.std().item() / math.sqrt(len(above))
        return {"loss": loss.mean().item(), "above_best": above.mean().item(), "standard_error": error}


def run_sweep(model: Model, fits: Sequence[Fit], draws: int, seed: int) -> Sweep:
    """The losses of each fit's average on the held-out events of the model's data, each over `draws` noises."""
    from sde_diffusion.training.checkpoints.tensors import fill

    x, labels = data_of(model).tensors("held_out")
    told = labels if model.config.part("network").get("classes") is not None else None
    usual = held_out_losses(model, model.denoiser, x, told, draws, seed)
    denoiser, found = copy.deepcopy(model.denoiser), []
    for one in fits:
        fill(denoiser, one.average(), Path("this run"))
        found.append(held_out_losses(model, denoiser, x, told, draws, seed))
    return Sweep(fits, found, usual)


def held_out_losses(
    model: Model, denoiser: Denoiser, x: Tensor, labels: Tensor | None, draws: int, seed: int
) -> Tensor:
    """The run's own objective for each of the events x (N, *E), averaged over draws: (N,), float64, on the CPU."""
    from sde_diffusion.callbacks import HeldOut
    from sde_diffusion.training.triggers import Every

    objective = build.objective(model.config.part("objective"), model.facts.std)
    asked = HeldOut(Every(1), model.sde, objective, x, labels, label_dropout=0.0, seed=seed)
    return asked.losses(denoiser, draws).cpu()
