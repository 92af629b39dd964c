"""The error of the averaged model by noise level, which shows what it has learnt and where the loss comes from.

At each of a grid of log-SNRs the mean square error E|D(x_t) - x_0|^2/D is measured on held-out samples, with the same noise
at every level and every report, beside the bounds of `spectrum`. For a loss that is a weighted mean of it, the weight is
written too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.callbacks.spectrum import bounds, spectra
from sde_diffusion.io.atomic import drafted, replace_file, to_json
from sde_diffusion.io.plain import read_json
from sde_diffusion.report.plots.levels import level_plot
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.batches import step_seed
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Trigger

_OWN = 0x4C4556454C53  # "LEVELS"
POINTS = 24
"""How many log-SNRs, evenly spaced between those of the horizon and of t_min."""


class Levels(Callback):
    """Writes FOLDER/loss_by_level.json and .png, with all reports up to now: a resumed run goes on with the same file."""

    def __init__(
        self,
        trigger: Trigger,
        folder: str | os.PathLike,
        sde: LinearSDE,
        objective: Callable[..., Tensor],
        data: Tensor,
        x: Tensor,
        labels: Tensor | None = None,
        seed: int = 0,
        chunk: int = 256,
        condition: Mapping[str, Tensor] | None = None,
    ) -> None:
        """The bounds are those of the training's `data` (N, *E), the errors those of the held-out `x` (M, *E).

        `labels` and `condition`, one row for each of x, are for a conditional model.
        """
        self.trigger, self.folder, self.sde, self.seed, self.chunk = trigger, Path(folder), sde, seed, chunk
        self.x, self.given = x, dict(condition or {}) | ({} if labels is None else {"label": labels})
        self.log_snr = grid(sde)
        weight = weight_of(objective)
        weights = None if weight is None else weight(sde, times(sde, self.log_snr)).tolist()
        known = {name: values.tolist() for name, values in bounds(spectra(data), self.log_snr).items()}
        self.head = {"log_snr": self.log_snr.tolist(), "weight": weights, "bounds": known, "events": len(x)}

    def on_report(self, context: CallbackContext) -> None:
        """Measure, write and draw."""
        path = self.folder / "loss_by_level.json"
        error, standard_error = self.measure(context.model)
        new = {"step": context.step, "error": error.tolist(), "standard_error": standard_error.tolist()}
        found = {**self.head, "looks": [*self._earlier(path, context.step), new]}
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, to_json(found))
        with drafted(path.with_suffix(".png"), self.folder) as draft:
            level_plot(found, draft)
        context.pictures["loss_by_level"] = path.with_suffix(".png")

    @torch.no_grad()
    def measure(self, model: nn.Module) -> tuple[Tensor, Tensor]:
        """(error, its standard error over the samples) at each level, float64 (POINTS,) each, on the CPU."""
        rows = torch.cat([self._rows(model, part, x0) for part, x0 in enumerate(self.x.split(self.chunk))], 1)
        return rows.mean(1), rows.std(1) / math.sqrt(rows.shape[1])

    def _rows(self, model: nn.Module, part: int, x0: Tensor) -> Tensor:
        """The mean square error of each sample of a part at each level, float64 (POINTS, B) on the CPU."""
        like = next(model.parameters(), x0)
        generator = torch.Generator().manual_seed(step_seed(self.seed ^ _OWN, part))
        noise = torch.randn(x0.shape, generator=generator).to(like)
        x0, condition = x0.to(like), self._condition(part, like)
        rows = []
        for t in times(self.sde, self.log_snr).tolist():
            kernel = self.sde.kernel(t)
            error = model(kernel.perturb(x0, noise), kernel, **condition) - x0
            rows.append(error.double().square().flatten(1).mean(1).cpu())
        return torch.stack(rows)

    def _condition(self, part: int, like: Tensor) -> dict[str, Tensor]:
        rows = {name: value.split(self.chunk)[part] for name, value in self.given.items()}
        return {name: value.to(like if value.is_floating_point() else like.device) for name, value in rows.items()}

    def _earlier(self, path: Path, step: int) -> list[dict[str, Any]]:
        """The reports at earlier steps of a file of the same head; none of another one."""
        try:
            stored = read_json(path)
            looks = stored.pop("looks")
            return [one for one in looks if one["step"] < step] if stored == self.head else []
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []


def grid(sde: LinearSDE) -> Tensor:
    """The log-SNRs from the horizon, most noise, to t_min, float64 (POINTS,)."""
    low, high = (float(sde.log_snr(t)) for t in (sde.horizon, sde.t_min))
    return torch.linspace(low, high, POINTS, dtype=torch.float64)


def times(sde: LinearSDE, log_snr: Tensor) -> Tensor:
    """The times of log-SNRs, within the process's range."""
    return torch.as_tensor(sde.time(log_snr)).clamp(sde.t_min, sde.horizon)


def weight_of(objective: Any) -> Callable[[LinearSDE, Tensor], Tensor] | None:
    """The weighting of an objective, or of the one within it; None for a loss of another kind."""
    weighting = getattr(objective, "weighting", None)
    inner = getattr(objective, "objective", None)
    return weighting if weighting is not None or inner is None else weight_of(inner)
