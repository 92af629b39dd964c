"""How far samples of the averaged model are from held-out data, while it trains: one number, by a metric of `metrics`.

The samples are made from the same noise at every report, a function of the seed alone, so that two reports differ by what
was learnt between them. No generator of the training is touched.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.metrics import (
    Extractor,
    energy_distance,
    extracted,
    frechet,
    kernel_distance,
    pixels,
    sliced_wasserstein,
)
from sde_diffusion.model import DiffusionModel
from sde_diffusion.specs import nearest
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Trigger

METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "energy": energy_distance,
    "frechet": frechet,
    "kid": kernel_distance,
    "sliced_w2": sliced_wasserstein,
}
"""The metrics by name; of each, smaller is better."""

LEAST = 12
"""The fewest samples that are compared."""


class SampleMetric(Callback):
    """Adds the distance of samples to as many held-out examples to the numbers of a report, under the metric's name.

    Only values of equal numbers of samples can be compared, such as those of one run. Their level means something beside
    the same distance of real data, which `sde-diffusion evaluate` measures.
    """

    def __init__(
        self,
        trigger: Trigger,
        model: DiffusionModel,
        real: Tensor,
        metric: str = "frechet",
        extractor: Callable[[], Extractor] = pixels,
        *,
        labels: Tensor | None = None,
        condition: Tensor | None = None,
        evaluations: int = 15,
        seed: int = 0,
        chunk: int = 256,
    ) -> None:
        """`real` (N, *E), in the units of the data, are compared with N samples of `model`, whose denoiser the training replaces.

        Sample i has labels[i] and condition[i], in its own units, for a model that takes them. `extractor()` makes the
        extractor, at the first report. `evaluations` calls of the network are made for each sample, `chunk` at a time.

        Raises ValueError for fewer than 12 examples, or a metric of another name.
        """
        if metric not in METRICS:
            raise ValueError(f"there is no metric {metric!r} to watch; {nearest(metric, METRICS)}")
        if len(real) < LEAST:
            raise ValueError(f"a metric compares at least {LEAST} held-out examples, got {len(real)}; hold out more")
        self.trigger, self.model, self.real, self.metric = trigger, model, real, metric
        self.extractor, self.evaluations, self.seed, self.chunk = cache(extractor), evaluations, seed, chunk
        given = {"label": labels, "condition": condition}
        self.asked = {name: value for name, value in given.items() if value is not None}
        self.reference: Tensor | None = None

    def on_report(self, context: CallbackContext) -> None:
        """Sample and measure."""
        context.numbers[self.metric] = self.measure(context.model)

    def measure(self, denoiser: Any) -> float:
        """The metric of samples with this denoiser."""
        device = next((parameter.device for parameter in denoiser.parameters()), torch.device("cpu"))
        if self.reference is None:
            self.reference = self._features(self.real, device)
        return METRICS[self.metric](self._features(self.samples(denoiser), device), self.reference)

    def samples(self, denoiser: Any) -> Tensor:
        """The samples (N, *E), in the units of the data, on the CPU."""
        model = replace(self.model, denoiser=denoiser, trained=None)
        chunk = min(self.chunk, len(self.real))
        parts = [self._part(model, first, chunk) for first in range(0, len(self.real), chunk)]
        return torch.cat(parts)

    def _part(self, model: DiffusionModel, first: int, chunk: int) -> Tensor:
        count = min(chunk, len(self.real) - first)
        own: dict[str, Any] = {name: value[first : first + count] for name, value in self.asked.items()}
        return model.sample(count, nfe=self.evaluations, seed=self.seed, first=first, chunk=chunk, **own).cpu()

    def _features(self, x: Tensor, device: torch.device) -> Tensor:
        return extracted(self.extractor(), x, self.chunk, device)
