"""One update of the parameters, without a wait for the device."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from sde_diffusion.training.state import TrainState


def adam(model: torch.nn.Module, learning_rate: float) -> torch.optim.Adam:
    """The optimizer of all parameters that ask for a gradient: fused, the kind that can skip a step on the device.

    Raises ValueError for a model without such parameters.

    References:
        Kingma & Ba, Adam: A Method for Stochastic Optimization, 2015, https://arxiv.org/abs/1412.6980
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not parameters:
        raise ValueError(f"{type(model).__name__} has no parameters that ask for a gradient; there is nothing to train")
    return torch.optim.Adam(parameters, lr=learning_rate, fused=True)


def update(state: TrainState, losses: Tensor, rate: float, clip: float) -> None:
    """Descend the mean of losses (B,) by one step at learning rate `rate`, the gradient's norm held to `clip`.

    A loss or a gradient that is not finite leaves the parameters and the optimizer as they are, decided on the device;
    the average takes in the unchanged parameters once more.
    """
    loss = losses.mean()
    loss.backward()
    norm = clip_grad_norm_(_parameters(state.optimizer), clip)
    _skippable_step(state.optimizer, rate, skip=state.tally.add(loss.detach(), norm))
    state.optimizer.zero_grad(set_to_none=True)
    state.ema.update()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _skippable_step(optimizer: torch.optim.Optimizer, rate: float, skip: Tensor) -> None:
    """Step unless `skip` is 1, by the door that torch's fused optimizers keep open for torch.amp.GradScaler."""
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.grad_scale, optimizer.found_inf = None, skip  # pyright: ignore[reportAttributeAccessIssue]
    optimizer.step()
