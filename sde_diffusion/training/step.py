"""One training step, read from top to bottom: a batch in its parts, their gradients, the update.

Nothing in it waits for the device.

One step of a run: a batch in its parts, their gradients, the update.

One update of the parameters, without a wait for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sde_diffusion.training.batches import Batches
from sde_diffusion.training.distributed.parallel import ParallelStrategy, full_tensor
from sde_diffusion.training.lr_schedule import rate
from sde_diffusion.training.precision import autocast
from sde_diffusion.training.randomness import step_seed
from sde_diffusion.training.settings import ComputeSettings, TrainSettings
from sde_diffusion.training.state import TrainState


@dataclass(frozen=True)
class TrainStep:
    """What a step takes: the state that it changes, the batches, and the loss under the engine."""

    state: TrainState
    settings: TrainSettings
    batches: Batches
    loss: nn.Module
    engine: ParallelStrategy
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
        generator = seeded(step_seed(self.settings.seed, step * count + part))
        x0, condition = self.batches.at(step, generator, part)
        with self.engine.synchronised(self.loss, last):
            with autocast(self.compute.precision, self.batches.device):
                share = self.loss(x0, generator, condition).mean() / parts
            (share * self.state.scale.factor).backward()
        return share.detach()


def adam(model: nn.Module, learning_rate: float) -> torch.optim.Adam:
    """The optimizer of the trainable parameters: fused, the kind that can skip a step on the device.

    References:
        Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """
    return torch.optim.Adam(trainable(model), lr=learning_rate, fused=True)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that ask for a gradient. Raises ValueError for a model without any."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters that ask for a gradient; there is nothing to train")
    return parameters


def update(state: TrainState, loss: Tensor, rate: float, clip: float) -> None:
    """Follow the gradients, which are those of `loss` () times the loss scale, by one step at learning rate `rate`.

    The gradient's norm is held to `clip`. A loss or a gradient that is not finite leaves the parameters and the
    optimizer as they are, decided on the device; the averages take in the unchanged parameters once more.
    """
    factor = state.scale.factor
    norm = _norm(state.optimizer) / factor
    skip = state.tally.add(loss, norm, factor > 1 if state.scale.moves else None)
    _step(state.optimizer, rate, (factor * (norm / clip).clamp(min=1)).float(), skip)
    state.scale.update(skip)
    state.optimizer.zero_grad(set_to_none=True)
    state.ema.update()
    state.power.update()


def _norm(optimizer: torch.optim.Optimizer) -> Tensor:
    """The Euclidean norm of the whole gradient, () on the device."""
    gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return full_tensor(torch.nn.utils.get_total_norm(gradients))


def _step(optimizer: torch.optim.Optimizer, rate: float, divisor: Tensor, skip: Tensor) -> None:
    """Step along the gradients over `divisor`, unless `skip` is 1.

    Both go by the door that torch's fused optimizers keep open for torch.amp.GradScaler, so that unscaling and clipping
    read and write no gradient once more.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.grad_scale, optimizer.found_inf = divisor, skip  # pyright: ignore[reportAttributeAccessIssue]
    optimizer.step()
