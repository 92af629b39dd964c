"""The run's own loss on events that it never sees, by the averaged model.

The noise, the times and the dropped labels are functions of the seed alone: every look asks the same questions, so that
two looks differ by what was learnt between them, and not by the draw. Where the objective stratifies its times, those of
each part of the table do, as in training.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.callbacks import Callback, CallbackContext
from sde_diffusion.training.randomness import seeded_generators, step_seed
from sde_diffusion.training.triggers import Trigger

_APART = 0x48454C444F5554  # "HELDOUT": no noise of the training's steps is met again
PASSES = 4
"""How many times each event is asked about, with other noise and another time."""


class HeldOut(Callback):
    """Adds `held_out_loss` and its standard error `held_out_error` to the numbers of a look.

    The error is that of the mean over the events, as if they were drawn anew with their noise; it is on the safe side
    where times are stratified. Between two looks of one run, which share all of it, far smaller differences show.
    """

    def __init__(
        self,
        moments: Trigger,
        sde: LinearSDE,
        objective: Callable[..., Tensor],
        events: Tensor,
        labels: Tensor | None = None,
        label_dropout: float = 0.1,
        seed: int = 0,
        chunk: int = 256,
    ) -> None:
        """`events` (N, *E), at least two, are seen up to `chunk` at a time; of N, up to N/chunk at the end are left out.

        `labels` are for a model that is told them, and dropped as often as in training.

        Raises TypeError or ValueError for events or labels that `train` would refuse.
        """
        if len(events) < 2:
            raise ValueError(f"a standard error needs two held-out events, got {len(events)}; hold some out")
        self.moments, self.sde, self.objective, self.seed = moments, sde, objective, seed
        self.parts = math.ceil(len(events) / chunk)
        self.count = len(events) // self.parts * self.parts
        self.table = events[: self.count], None if labels is None else labels[: self.count], label_dropout
        self._batches(torch.device("cpu"), torch.float32)

    def see(self, look: CallbackContext) -> None:
        """Measure."""
        look.numbers["held_out_loss"], look.numbers["held_out_error"] = self.measured(look.model)

    def measured(self, model: nn.Module) -> tuple[float, float]:
        """(mean loss, its standard error) of a model in eval mode."""
        losses = self.losses(model)
        return float(losses.mean()), float(losses.std()) / math.sqrt(self.count)

    def losses(self, model: nn.Module, passes: int = PASSES) -> Tensor:
        """The loss of each event, the mean over some passes: float64 (count,), in one order for all models."""
        parameter = next(model.parameters(), None)
        device, dtype = ("cpu", torch.float32) if parameter is None else (parameter.device, parameter.dtype)
        batches = self._batches(torch.device(device), dtype)
        with seeded_generators(batches.device) as seeded:
            return torch.stack([self._pass(model, batches, seeded, number) for number in range(passes)]).mean(0)

    def _pass(self, model: nn.Module, batches: Batches, seeded: Callable, number: int) -> Tensor:
        """The loss of each event, once, float64 (count,)."""
        found = []
        for part in range(self.parts):
            generator = seeded(step_seed(self.seed ^ _APART, number * self.parts + part))
            x0, condition = batches.at(0, generator, part)
            found.append(self.objective(model, self.sde, x0, generator, **condition).detach().double())
        return torch.cat(found)

    def _batches(self, device: torch.device, dtype: torch.dtype) -> Batches:
        return Batches(*self.table, self.seed, self.count, device, dtype, self.parts)
