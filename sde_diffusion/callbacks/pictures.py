"""Samples of the averaged model, early and often: from the same noise each time, in few evaluations.

FOLDER/pictures/step-000100.png and so on, and at the end all of them as film.gif and side by side as film.png.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.denoisers.conditioned import Conditioned
from sde_diffusion.io.atomic import drafted
from sde_diffusion.report.animation.montage import gif_from_images, montage
from sde_diffusion.report.plots.images import plot_samples
from sde_diffusion.report.plots.points import plot_points
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Trigger

_NAME = re.compile(r"step-(\d{6,})\.png")


class Pictures(Callback):
    """Writes a picture at each report: images, points of the plane beside real ones, histograms of other samples."""

    def __init__(
        self,
        trigger: Trigger,
        folder: str | os.PathLike,
        sde: LinearSDE,
        real: Tensor,
        *,
        classes: int | None = None,
        count: int = 64,
        evaluations: int = 15,
        seed: int = 0,
    ) -> None:
        """`real` (N, *E) are samples of the data, with their shape, mean and standard deviation.

        `count` samples take `evaluations` calls of the model each. For a class-conditional model `classes` is the number
        of classes: sample i is of class i modulo it.
        """
        self.trigger, self.run, self.sde = trigger, Path(folder), sde
        self.folder = self.run / "pictures"
        self.mean, self.std = float(real.double().mean()), float(real.double().std())
        self.shape, self.real = tuple(real.shape[1:]), real[:count].cpu()
        self.labels = None if classes is None else torch.arange(count) % classes
        self.count, self.evaluations, self.seed = count, evaluations, seed

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

    def samples(self, model: nn.Module) -> Tensor:
        """The samples (count, *E) of a model, on the CPU."""
        device = next(model.parameters(), self.real).device
        condition = {} if self.labels is None else {"label": self.labels.to(device)}
        reversal, solver = default_solver(
            self.sde, Conditioned(cast(Denoiser, model), **condition), self.evaluations, self.std
        )
        reversal = reversal.with_prior(self.sde.prior(self.mean, self.std**2))
        shape = (self.count, *self.shape)
        return sample(reversal, solver, shape, self.seed, chunk=self.count, device=device).cpu()

    def _film(self, step: int) -> None:
        """Of all pictures up to now, those of interrupted and resumed parts of the run among them."""
        steps = {int(found[1]): path for path in self.folder.iterdir() if (found := _NAME.fullmatch(path.name))}
        taken = {f"step {number}": steps[number] for number in sorted(steps) if number <= step}
        if len(taken) > 1:
            with drafted(self.folder / "film.gif", self.run) as draft:
                gif_from_images(list(taken.values()), draft)
            with drafted(self.folder / "film.png", self.run) as draft:
                montage(taken, draft)
