"""Samples of the averaged model, early and often: from the same noise each time, in few evaluations.

FOLDER/pictures/step-000100.png and so on, and at the end all of them as film.gif and side by side as film.png.
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.io.atomic import drafted
from sde_diffusion.model import DiffusionModel
from sde_diffusion.report.animation.montage import gif_from_images, montage
from sde_diffusion.report.plots.images import plot_samples
from sde_diffusion.report.plots.points import plot_points
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Trigger

_NAME = re.compile(r"step-(\d{6,})\.png")


class Pictures(Callback):
    """Writes a picture at each report: images, points of the plane beside real ones, histograms of other samples."""

    def __init__(
        self,
        trigger: Trigger,
        folder: str | os.PathLike,
        model: DiffusionModel,
        real: Tensor,
        *,
        count: int = 64,
        evaluations: int = 15,
        seed: int = 0,
        condition: Tensor | None = None,
    ) -> None:
        """`real` (N, *E) are samples of the data, shown beside those of `model`, whose denoiser the training replaces.

        `count` samples take `evaluations` calls of the network each. For a class-conditional model sample i is of class i
        modulo their number. With `condition` (N, K), in its own units, sample i has row i modulo N.
        """
        self.trigger, self.run, self.model = trigger, Path(folder), model
        self.folder = self.run / "pictures"
        self.shape, self.real = tuple(real.shape[1:]), real[:count].cpu()
        self.count, self.evaluations, self.seed = count, evaluations, seed
        self.condition = None if condition is None else condition[torch.arange(count) % len(condition)]

    def on_report(self, context: CallbackContext) -> None:
        """Sample and draw; at the end, the film."""
        path = self.folder / f"step-{context.step:06d}.png"
        x = self.samples(context.model)
        with drafted(path, self.run) as draft:
            if self.shape == (2,):
                plot_points({"held-out data": self.real, f"samples at step {context.step}": x}, draft, columns=2)
            else:
                plot_samples(x, draft, f"samples at step {context.step}")
        context.pictures["samples"] = path
        if context.last:
            self._film(context.step)

    def samples(self, denoiser: Any) -> Tensor:
        """The samples (count, *E) with this denoiser, in the units of the data, on the CPU."""
        model = replace(self.model, denoiser=denoiser, trained=None)
        label = None if model.classes is None else torch.arange(self.count) % model.classes
        asked: dict[str, Any] = {"label": label, "condition": self.condition}
        return model.sample(self.count, nfe=self.evaluations, seed=self.seed, chunk=self.count, **asked).cpu()

    def _film(self, step: int) -> None:
        """Of all pictures up to now, those of interrupted and resumed parts of the run among them."""
        steps = {int(found[1]): path for path in self.folder.iterdir() if (found := _NAME.fullmatch(path.name))}
        taken = {f"step {number}": steps[number] for number in sorted(steps) if number <= step}
        if len(taken) > 1:
            with drafted(self.folder / "film.gif", self.run) as draft:
                gif_from_images(list(taken.values()), draft)
            with drafted(self.folder / "film.png", self.run) as draft:
                montage(taken, draft)
