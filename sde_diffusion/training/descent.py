"""One step of a run: a batch in its parts, their gradients, the update."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sde_diffusion.training.batches import Batches
from sde_diffusion.training.compute import ComputeSettings
from sde_diffusion.training.engine import Engine
from sde_diffusion.training.precision import autocast
from sde_diffusion.training.randomness import word
from sde_diffusion.training.schedule import rate
from sde_diffusion.training.settings import TrainSettings
from sde_diffusion.training.state import TrainState
from sde_diffusion.training.step import update


@dataclass(frozen=True)
class Descent:
    """What a step takes: the state that it changes, the batches, and the loss under the engine."""

    state: TrainState
    settings: TrainSettings
    batches: Batches
    loss: nn.Module
    engine: Engine
    compute: ComputeSettings

    def step(self, seeded: Callable[[int], torch.Generator]) -> None:
        """Change the state by one step, without a wait for the device; `seeded` makes a generator from a word."""
        state, parts = self.state, self.engine.parts(self.settings.microbatches)
        state.settled = False
        losses = [self._part(seeded, part, len(parts), part == parts[-1]) for part in parts]
        mean = self.engine.world.mean(torch.stack(losses).sum())
        update(state, mean, rate(self.settings, state.step), self.settings.clip)
        state.step += 1
        state.settled = True

    def _part(self, seeded: Callable[[int], torch.Generator], part: int, parts: int, last: bool) -> Tensor:
        """Add a part's share to the gradient; the share itself, () without a graph."""
        step, count = self.state.step, self.settings.microbatches
        generator = seeded(word(self.settings.seed, step * count + part))
        x0, condition = self.batches.at(step, generator, part)
        with self.engine.synchronised(self.loss, last):
            with autocast(self.compute.precision, self.batches.device):
                share = self.loss(x0, generator, condition).mean() / parts
            (share * self.state.scale.factor).backward()
        return share.detach()
