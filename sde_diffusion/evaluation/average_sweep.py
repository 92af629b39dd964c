"""The held-out loss of weight averages (EMA) of several lengths, on the same noise, so that differences are precise."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sde_diffusion.io.finite import finite_rows
from sde_diffusion.report.plots.averages import length_plot
from sde_diffusion.report.table import Table

if TYPE_CHECKING:
    from torch import Tensor

    from sde_diffusion.denoisers.base import Denoiser
    from sde_diffusion.model import DiffusionModel
    from sde_diffusion.training.ema.post_hoc import Fit


@dataclass(frozen=True)
class Sweep:
    """The losses (N,) of the held-out examples, for each length and for the average of the newest checkpoint."""

    fits: Sequence[Fit]
    losses: Sequence[Tensor]
    checkpoint: Tensor

    @property
    def best(self) -> Fit:
        """The length with the smallest mean loss."""
        return self.fits[self._first]

    @property
    def _first(self) -> int:
        means = [loss.mean().item() for loss in self.losses]
        return means.index(min(means))

    def rows(self) -> list[dict[str, Any]]:
        """For each length, and last for the average of the checkpoint: mean loss, and its excess over the best one."""
        rows = [
            {"sigma_rel": one.sigma_rel, "residual": one.residual, **self._against_best(loss)}
            for one, loss in zip(self.fits, self.losses, strict=True)
        ]
        return [*rows, {"sigma_rel": None, "residual": None, **self._against_best(self.checkpoint)}]

    def table(self) -> Table:
        """A row for each length."""
        rows = [
            [
                "decay" if row["sigma_rel"] is None else f"{row['sigma_rel']:g}",
                "-" if row["residual"] is None else f"{row['residual']:.2g}",
                *(f"{row['loss']:.5g}", f"{row['above_best']:.2g}", f"{row['standard_error']:.2g}"),
            ]
            for row in self.rows()
        ]
        heads = ["sigma_rel", "residual", "held-out loss", "above the best", "standard error of that"]
        return Table(heads, rows, f"Averages after step {self.best.step}, {len(self.checkpoint)} held-out examples")

    def as_dict(self) -> dict[str, Any]:
        """The numbers as plain data."""
        return {"step": self.best.step, "best": self.best.sigma_rel, "lengths": self.rows()}

    def plot(self, path: Path) -> Path:
        """Write loss against length."""
        *rows, checkpoint = self.rows()
        lengths, losses, errors = ([row[name] for row in rows] for name in ("sigma_rel", "loss", "standard_error"))
        return length_plot(lengths, losses, errors, checkpoint["loss"], path)

    def _against_best(self, loss: Tensor) -> dict[str, float]:
        """The standard error is that of the paired difference over the examples."""
        above = loss - self.losses[self._first]
        error = above.std().item() / math.sqrt(len(above))
        return {"loss": loss.mean().item(), "above_best": above.mean().item(), "standard_error": error}


def sweep_averages(
    model: DiffusionModel,
    fits: Sequence[Fit],
    objective: Callable[..., Tensor],
    x: Tensor,
    labels: Tensor | None = None,
    draws: int = 8,
    seed: int = 0,
    condition: Mapping[str, Tensor] | None = None,
) -> Sweep:
    """The loss of each fit's average of the weights on held-out examples x (N, *E), over `draws` noises each.

    `objective` is the training loss; `labels` (N,) and `condition`, name -> (N, ...), are given to a conditional model.
    """
    from sde_diffusion.training.checkpoints.tensors import fill

    checkpoint = held_out_losses(model, model.denoiser, objective, x, labels, draws, seed, condition)
    denoiser, losses = copy.deepcopy(model.denoiser), []
    for fit in fits:
        fill(denoiser, fit.average(), Path("this run"))
        losses.append(held_out_losses(model, denoiser, objective, x, labels, draws, seed, condition))
    return Sweep(fits, losses, checkpoint)


def held_out_losses(
    model: DiffusionModel,
    denoiser: Denoiser,
    objective: Callable[..., Tensor],
    x: Tensor,
    labels: Tensor | None,
    draws: int,
    seed: int,
    condition: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """The objective of each of the examples x (N, *E), averaged over draws: (N,), float64, on the CPU."""
    from sde_diffusion.callbacks import HeldOut
    from sde_diffusion.training.triggers import Every

    held_out = HeldOut(Every(1), model.sde, objective, x, labels, label_dropout=0.0, seed=seed, condition=condition)
    return finite_rows(held_out.losses(denoiser, draws).cpu(), "held-out losses")
