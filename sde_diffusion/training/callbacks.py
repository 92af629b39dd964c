"""Callbacks: they see the averaged model while it trains, between two reports of the loop.

A callback changes nothing of the run, which ends on the same bits with and without it. The global generators get the states
back in which they were found, the averaged model is in eval mode with its parameters frozen, and an error, such as that of a
full disk, becomes a warning: the run goes on.

A callback is due at the first report at or after each step of its trigger, and at the last report. Of several processes the
main one calls, while the others wait at their next exchange. Where each holds a share of the average, all put it together
first.
"""

from __future__ import annotations

import copy
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from torch import nn

from sde_diffusion.io import json_lines as metrics_file
from sde_diffusion.training.batches import seeded_generators
from sde_diffusion.training.distributed.parallel import full_state
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.errors import first_line
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.triggers import Trigger


@dataclass
class CallbackContext:
    """What callbacks are given, one after another, and what they have found.

    Attributes:
        progress: the report.
        model: the averaged model, on the device of the training; up to date where a callback `uses_model`.
        last: whether this is the last report of the run.
        numbers: what callbacks add for metrics.jsonl, by name.
        pictures: PNG files that callbacks add, by what they show.
    """

    progress: Progress
    model: nn.Module
    last: bool = False
    numbers: dict[str, float] = field(default_factory=dict)
    pictures: dict[str, Path] = field(default_factory=dict)

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.progress.step


class Callback(ABC):
    """Is called at its trigger, and keeps what it finds in files of its own or in the context's numbers and pictures."""

    trigger: Trigger
    uses_model: ClassVar[bool] = True

    @abstractmethod
    def on_report(self, context: CallbackContext) -> None:
        """Act at a report. The model is to be left as it is; an error becomes a warning."""

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """The run has ended, or was interrupted."""


class CallbackList:
    """The callbacks of one run. Raises ValueError, on all ranks, unless these have the same callbacks and triggers."""

    def __init__(
        self,
        callbacks: Sequence[Callback],
        ema: EMA,
        settings: TrainSettings,
        device: torch.device | str = "cpu",
        folder: str | os.PathLike | None = None,
        world: ProcessGroup | None = None,
    ) -> None:
        self.callbacks, self.ema, self.settings = list(callbacks), ema, settings
        self.device, self.world = torch.device(device), world or ProcessGroup()
        self.metrics = None if folder is None else RunFolder(Path(folder)).metrics_file
        self.warned: set[str] = set()
        triggers = [f"{type(callback).__name__} {callback.trigger}" for callback in self.callbacks]
        self.world.assert_same_on_all_ranks({"callbacks": triggers})

    def on_report(self, progress: Progress) -> dict[str, float]:
        """Call those that are due, in their order; the numbers that they found, in the main process."""
        last = progress.step == self.settings.steps
        before = previous_report(progress.step, self.settings.log_every)
        due = [callback for callback in self.callbacks if last or callback.trigger.within(before, progress.step)]
        if not due:
            return {}
        with self._frozen_average(any(callback.uses_model for callback in due)) as model:
            if not self.world.is_main:
                return {}
            context = CallbackContext(progress, model, last)
            for callback in due:
                self._or_warn(type(callback).__name__, context.step, lambda one=callback: one.on_report(context))
        self._keep(context)
        return context.numbers

    def close(self) -> None:
        """Close all."""
        for callback in self.callbacks if self.world.is_main else []:
            self._or_warn(type(callback).__name__, self.settings.steps, callback.close)

    @contextmanager
    def _frozen_average(self, used: bool) -> Iterator[nn.Module]:
        """The averaged model for the length of the block, whole and frozen; not put together unless it is `used`."""
        model = self._average() if used else self.ema.model
        before = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        try:
            model.requires_grad_(False)
            with seeded_generators(self.device):
                yield model
        finally:
            for parameter, gradient in before:
                parameter.requires_grad_(gradient)

    def _average(self) -> nn.Module:
        """The average itself, or, where each process holds a share of it, a copy for the main process."""
        averages = self.ema.state_dict()
        if not any(hasattr(value, "full_tensor") for value in averages.values()):
            return self.ema.model
        whole = full_state(averages, kept=self.world.is_main)
        if not self.world.is_main:
            return self.ema.model
        model = copy.deepcopy(self.ema.model)
        model.load_state_dict(whole, assign=True)
        return model.to(self.device)

    def _keep(self, context: CallbackContext) -> None:
        path = self.metrics
        if path is not None and context.numbers:
            line = {"step": context.step, **context.numbers}
            self._or_warn(path.name, context.step, lambda: metrics_file.append(path, line))

    def _or_warn(self, name: str, step: int, act: Callable[[], None]) -> None:
        """Act; the first error of each name becomes a warning, for the next report may do better."""
        try:
            act()
        except Exception as error:
            if name not in self.warned:
                self.warned.add(name)
                warnings.warn(
                    f"{name} failed at step {step} ({type(error).__name__}: {first_line(error)}); training goes on, "
                    "and it is tried again without another warning",
                    stacklevel=2,
                )


def previous_report(step: int, log_every: int) -> int:
    """The step of the report before the one at `step`, 0 for the first."""
    return (step - 1) // log_every * log_every
