"""One training step, read from top to bottom: a batch in its parts, their gradients, the update.

With one process nothing in it waits for the device, so that a GPU never waits for the host: whether a step must be skipped
is decided where its loss and its gradient are. (An optimizer that is not fused is the exception: see `optimizer`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn

from sde_diffusion.data.base import Batch
from sde_diffusion.objectives.base import RunContext, learnt_by, with_run
from sde_diffusion.training.batches import Batches
from sde_diffusion.training.distributed.parallel import full_tensor
from sde_diffusion.training.distributed.process_group import ProcessGroup
from sde_diffusion.training.optimizer import Schedule, rate_factor
from sde_diffusion.training.settings import TrainSettings

if TYPE_CHECKING:
    from sde_diffusion.training.state import TrainState

Generators = Callable[[int], torch.Generator]
"""A number -> a generator seeded with it; see `batches.seeded_generators`."""


@dataclass(frozen=True)
class TrainStep:
    """What a step takes.

    Attributes:
        state: what a step changes.
        loss: a `Loss`, as the parallel strategy wraps it.
        parts: which of the batch's equal parts this process computes.
        no_sync: the context of all parts but the last, whose gradients are exchanged with those before.
        autocast: the context of the loss, which sets the number format.
        average: the averaged model, as objectives find it.
        teacher: the frozen model, as objectives find it.
    """

    state: TrainState
    settings: TrainSettings
    batches: Batches
    loss: nn.Module
    parts: range
    world: ProcessGroup
    no_sync: Callable[[], AbstractContextManager]
    autocast: Callable[[], AbstractContextManager]
    average: nn.Module
    schedule: Schedule | None = None
    teacher: nn.Module | None = None

    def __call__(self, generators: Generators) -> None:
        """Change the state by one step."""
        state = self.state
        state.settled = False
        run = RunContext(state.step, self.settings.steps, self.average, self.teacher)
        loss = torch.stack([self._backward(part, run, generators) for part in self.parts]).sum()
        norm = torch.nn.utils.get_total_norm(state.optimizer.gradients())
        if self.world.size > 1:
            loss, norm = self.world.mean(loss), full_tensor(norm)
        skip = state.metrics.add(loss, norm)
        factor = rate_factor(self.settings, state.step, self.schedule)
        state.optimizer.step(factor, (norm / self.settings.max_grad_norm).clamp(min=1).float(), skip)
        for average in state.averages:
            average.update()
        state.step += 1
        state.settled = True

    def _backward(self, part: int, run: RunContext, generators: Generators) -> Tensor:
        """Add a part's share to the gradient; the share itself, () without a graph."""
        generator = generators(self.batches.noise_seed(run.step, part))
        batch = self.batches.at(run.step, generator, part)
        with nullcontext() if part == self.parts[-1] else self.no_sync():
            with self.autocast():
                share = self.loss(batch, generator, run).mean() / len(self.parts)
            share.backward()
        return share.detach()


class Loss(nn.Module):
    """The objective of a model as a module: (batch, generator, run) -> losses (B,). `learnt` is what the objective learns."""

    def __init__(self, model: nn.Module, objective: Callable[..., Tensor], sde: Any) -> None:
        super().__init__()
        self.model, self.objective, self.sde = model, with_run(objective), sde
        self.learnt = learnt_by(objective)

    def forward(self, batch: Batch, generator: torch.Generator, run: RunContext) -> Tensor:
        """The losses."""
        return self.objective(self.model, self.sde, batch, generator, run)


class MetricsReading(NamedTuple):
    """The running metrics on the host. Means are over the finite steps since the last report; NaN when there were none.

    Attributes:
        skipped: steps skipped since the start of the run.
        skipped_in_a_row: steps skipped up to this moment without a finite one between.
        longest_row: the most steps skipped in a row since the last reading.
    """

    loss: float
    gradient_norm: float
    skipped: int
    skipped_in_a_row: int
    longest_row: int


SKIPPED = 3
"""The place of the number of skipped steps in the state of `RunningMetrics`."""


class RunningMetrics:
    """Six numbers on the device: the sums of losses and gradient norms, and the counts of finite and skipped steps.

    The first three run since the last report, the longest row of skipped steps since the last reading. All of them are
    state: a resumed run reports the same means.
    """

    def __init__(self, device: torch.device) -> None:
        self.numbers = torch.zeros(6, device=device, dtype=torch.float32)

    @torch.no_grad()
    def add(self, loss: Tensor, norm: Tensor) -> Tensor:
        """Count a step by its loss () and gradient norm (); 0. or 1. on the device: whether it must be skipped."""
        finite = torch.isfinite(loss + norm)
        pair = torch.stack([loss, norm]).to(self.numbers)
        new = torch.cat([torch.where(finite, pair, 0.0), torch.stack([finite, ~finite]).to(self.numbers)])
        self.numbers[:4] += new
        row = (self.numbers[4] + 1) * new[3]
        self.numbers[5] = torch.maximum(self.numbers[5], row)
        self.numbers[4] = row
        return new[3]

    def read(self) -> MetricsReading:
        """Wait for the device. The longest row starts again; a row in progress goes on."""
        loss, norm, counted, skipped, row, longest = self.numbers.tolist()
        self.numbers[5] = 0
        means = (loss / counted, norm / counted) if counted else (math.nan, math.nan)
        return MetricsReading(*means, int(skipped), int(row), int(longest))

    def report(self) -> MetricsReading:
        """The same, and the means start again."""
        reading = self.read()
        self.numbers[:3] = 0
        return reading

    def state(self) -> list[float]:
        """The numbers, for a checkpoint."""
        return self.numbers.tolist()

    def load(self, numbers: list[float]) -> None:
        """Go on from `state()`; ValueError for anything else."""
        if len(numbers) != len(self.numbers) or not all(map(math.isfinite, numbers)):
            raise ValueError(f"running metrics are {len(self.numbers)} finite numbers, got {numbers}")
        self.numbers.copy_(torch.tensor(numbers))
