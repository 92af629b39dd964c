"""The run's own loss on held-out samples, by the averaged model.

The noise, the times and the dropped labels are functions of the seed alone: every report draws the same ones, so that two
reports differ by what was learnt between them, and not by the draw. Where the objective stratifies its times, those of each
part of the table do, as in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.data.tables import FirstRows, table_of
from sde_diffusion.objectives.base import RunContext, with_run
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.batches import Batches, seeded_generators, step_seed
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.triggers import Trigger

_OWN = 0x48454C444F5554  # "HELDOUT": sets this noise apart from that of the training's steps
PASSES = 4
"""How many times each sample is used, with other noise and another time."""


class HeldOut(Callback):
    """Adds `held_out_loss` and its standard error `held_out_error` to the numbers of a report.

    The error is that of the mean over the samples, as if they were drawn anew with their noise; it is on the safe side
    where times are stratified. Between two reports of one run, which share all of it, far smaller differences show.
    """

    def __init__(
        self,
        trigger: Trigger,
        sde: LinearSDE,
        objective: Callable[..., Tensor],
        x: Any,
        labels: Any = None,
        label_dropout: float = 0.1,
        seed: int = 0,
        chunk: int = 256,
        condition: Mapping[str, Any] | None = None,
        teacher: nn.Module | None = None,
        dropout: Mapping[str, Any] | None = None,
    ) -> None:
        """`x` (N, *E), at least two, are used up to `chunk` at a time; of N, up to N/chunk at the end are left out.

        `labels` and `condition` are for a conditional model, and dropped as often as in training, those that `dropout` names
        on their own. `teacher` is that of an objective that has one.

        Raises TypeError or ValueError for samples or labels that `train` would refuse.
        """
        self.table = table_of(x, labels, condition)
        if len(self.table) < 2:
            raise ValueError(f"a standard error needs two held-out samples, got {len(self.table)}; hold some out")
        self.trigger, self.sde, self.objective, self.seed = trigger, sde, objective, seed
        self.label_dropout, self.teacher, self.dropout = label_dropout, teacher, dict(dropout or {})
        self.parts = math.ceil(len(self.table) / chunk)
        self.count = len(self.table) // self.parts * self.parts
        self._batches(torch.device("cpu"), torch.float32)

    def on_report(self, context: CallbackContext) -> None:
        """Measure."""
        loss, error = self.measure(context.model, context.step)
        context.numbers["held_out_loss"], context.numbers["held_out_error"] = loss, error

    def measure(self, model: nn.Module, step: int = 0) -> tuple[float, float]:
        """(mean loss, its standard error) of a model in eval mode."""
        losses = self.losses(model, step=step)
        return float(losses.mean()), float(losses.std()) / math.sqrt(self.count)

    def losses(self, model: nn.Module, passes: int = PASSES, step: int = 0) -> Tensor:
        """The loss of each sample, the mean over some passes: float64 (count,), in one order for all models."""
        parameter = next(model.parameters(), None)
        device, dtype = ("cpu", torch.float32) if parameter is None else (parameter.device, parameter.dtype)
        batches, run = self._batches(torch.device(device), dtype), RunContext(step, step, model, self.teacher)
        with seeded_generators(batches.device) as generators:
            return torch.stack([self._pass(model, batches, generators, number, run) for number in range(passes)]).mean(
                0
            )

    def _pass(self, model: nn.Module, batches: Batches, generators: Callable, number: int, run: RunContext) -> Tensor:
        """The loss of each sample, once, float64 (count,)."""
        found = []
        for part in range(self.parts):
            generator = generators(step_seed(self.seed ^ _OWN, number * self.parts + part))
            batch = batches.at(0, generator, part)
            found.append(with_run(self.objective)(model, self.sde, batch, generator, run).detach().double())
        return torch.cat(found)

    def _batches(self, device: torch.device, dtype: torch.dtype) -> Batches:
        rows, counts = FirstRows(self.table, self.count), (self.seed, self.count)
        return Batches(rows, self.label_dropout, *counts, device, dtype, self.parts, dropout=self.dropout)
