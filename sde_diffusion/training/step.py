"""One update of the parameters, without a wait for the device."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sde_diffusion.training.engine import whole
from sde_diffusion.training.state import TrainState


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
    return whole(torch.nn.utils.get_total_norm(gradients))


def _step(optimizer: torch.optim.Optimizer, rate: float, divisor: Tensor, skip: Tensor) -> None:
    """Step along the gradients over `divisor`, unless `skip` is 1.

    Both go by the door that torch's fused optimizers keep open for torch.amp.GradScaler, so that unscaling and clipping
    read and write no gradient once more.
    """
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.grad_scale, optimizer.found_inf = divisor, skip  # pyright: ignore[reportAttributeAccessIssue]
    optimizer.step()
