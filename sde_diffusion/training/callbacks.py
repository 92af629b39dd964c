"""What is seen of a model while it trains, besides the reports: observers, which look at the averaged model now and then.

They stand outside of the loop, between two of its reports, and leave no trace in it: the run ends on the same bits with
and without them. The global generators are given back as they were found, the averaged model is lent in eval mode with
its parameters frozen, and an error, such as that of a full disk, becomes a warning: the run goes on.

An observer is due at the first report at or after each of its moments, and at the last one. Of several processes the
leading one looks, while the others wait at their next exchange; where each holds a share of the average, all put it
together first.
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
from sde_diffusion.training.distributed.parallel import full_state
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.ema.exponential import EMA
from sde_diffusion.training.errors import first_line
from sde_diffusion.training.metrics import Progress
from sde_diffusion.training.randomness import seeded_generators
from sde_diffusion.training.run_folder import RunFolder
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.triggers import Trigger


@dataclass
class CallbackContext:
    """What observers are shown, one after another, and what they have found.

    Attributes:
        progress: the report.
        model: the averaged model, on the device of the training; of use where an observer `uses_model`.
        last: whether this is the last look of the run.
        numbers: what observers add for metrics.jsonl, by name.
        pictures: PNG files that observers add, by what they show.
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
    """Looks at its moments, and keeps what it sees in files of its own or in the look's numbers and pictures."""

    moments: Trigger
    uses_model: ClassVar[bool] = True

    @abstractmethod
    def see(self, look: CallbackContext) -> None:
        """Look once. The model is left as it is; an error is a warning for whoever trains."""

    def close(self) -> None:  # noqa: B027 (most have nothing to close)
        """The run has ended, or was interrupted."""


class CallbackList:
    """The observers of one run. Raises ValueError, in all processes, when these were told different moments."""

    def __init__(
        self,
        observers: Sequence[Callback],
        ema: EMA,
        settings: TrainSettings,
        device: torch.device | str = "cpu",
        folder: str | os.PathLike | None = None,
        world: ProcessGroup | None = None,
    ) -> None:
        self.observers, self.ema, self.settings = list(observers), ema, settings
        self.device, self.world = torch.device(device), world or ProcessGroup()
        self.metrics = None if folder is None else RunFolder(Path(folder)).metrics_file
        self.complained: set[str] = set()
        told = [f"{type(observer).__name__} {observer.moments}" for observer in self.observers]
        self.world.assert_same_on_all_ranks({"observers": told})

    def show(self, progress: Progress) -> dict[str, float]:
        """Let those that are due look, in their order; the numbers that they found, in the leading process."""
        last = progress.step == self.settings.steps
        before = previous_report(progress.step, self.settings.log_every)
        due = [observer for observer in self.observers if last or observer.moments.within(before, progress.step)]
        if not due:
            return {}
        with self._lent(any(observer.uses_model for observer in due)) as model:
            if not self.world.is_main:
                return {}
            look = CallbackContext(progress, model, last)
            for observer in due:
                self._tolerated(type(observer).__name__, look.step, lambda one=observer: one.see(look))
        self._keep(look)
        return look.numbers

    def close(self) -> None:
        """No more looks."""
        for observer in self.observers if self.world.is_main else []:
            self._tolerated(type(observer).__name__, self.settings.steps, observer.close)

    @contextmanager
    def _lent(self, fresh: bool) -> Iterator[nn.Module]:
        """The averaged model for the length of the block, whole and frozen; `fresh` unless nobody uses it."""
        model = self._average() if fresh else self.ema.model
        asked = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        try:
            model.requires_grad_(False)
            with seeded_generators(self.device):
                yield model
        finally:
            for parameter, gradient in asked:
                parameter.requires_grad_(gradient)

    def _average(self) -> nn.Module:
        """The average itself, or, where each process holds a share of it, a copy for the leading process."""
        averages = self.ema.state_dict()
        if not any(hasattr(value, "full_tensor") for value in averages.values()):
            return self.ema.model
        whole = full_state(averages)
        if not self.world.is_main:
            return self.ema.model
        model = copy.deepcopy(self.ema.model)
        model.load_state_dict(whole)
        return model.to(self.device)

    def _keep(self, look: CallbackContext) -> None:
        path = self.metrics
        if path is not None and look.numbers:
            line = {"step": look.step, **look.numbers}
            self._tolerated(path.name, look.step, lambda: metrics_file.append(path, line))

    def _tolerated(self, name: str, step: int, act: Callable[[], None]) -> None:
        """Act; the first error of each name becomes a warning, for the next look may do better."""
        try:
            act()
        except Exception as error:
            if name not in self.complained:
                self.complained.add(name)
                warnings.warn(
                    f"{name} failed at step {step} ({type(error).__name__}: {first_line(error)}); training goes on, "
                    "and it is tried again without another warning",
                    stacklevel=2,
                )


def previous_report(step: int, log_every: int) -> int:
    """The step of the report before the one at `step`, 0 for the first, whether or not this process saw it."""
    return (step - 1) // log_every * log_every
