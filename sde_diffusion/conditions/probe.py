"""Does a network heed its condition? A copy of it with perturbed weights, whose answer must change with each condition.

A new network is often the zero function, which heeds nothing; noise on every weight takes that away. It cannot add a path
from the condition to the answer where there is none. So a network that takes its condition and leaves it unused is found
before it is trained, and not by its samples.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from sde_diffusion.conditions.columns import CONTEXT
from sde_diffusion.kernel import Kernel

NOISE = 0.1
"""The standard deviation of what is added to each weight."""


def check_heeded(denoiser: nn.Module, event_shape: tuple[int, ...], values: Mapping[str, tuple[Any, Any]]) -> None:
    """Raises ValueError unless the denoiser takes each condition and its answer differs between the two values of it.

    Args:
        denoiser: called (x_t, kernel, **condition); the denoiser itself is left as it is.
        event_shape: the shape *E of a sample.
        values: name -> two values of the condition for a batch of two samples.
    """
    network = getattr(denoiser, "backbone", denoiser)
    for name, pair in values.items():
        check_taken(network, name)
        if not answers_differ(denoiser, event_shape, name, pair):
            raise ValueError(
                f"the network {type(network).__name__} takes {name!r} and its answer does not depend on it; use it in "
                "forward, or leave the condition out"
            )


def check_context(denoiser: nn.Module, event_shape: tuple[int, ...], size: int) -> None:
    """The same of `context` (B, size); and a row of zeros, no condition, has another answer than the mean of the conditions."""
    given = torch.linspace(-1, 1, 2 * size).reshape(2, size)
    given[:, -1] = 1
    check_heeded(denoiser, event_shape, {CONTEXT: (given, given.flip(0))})
    mean = torch.zeros_like(given)
    mean[:, -1] = 1
    if not answers_differ(denoiser, event_shape, CONTEXT, (mean, torch.zeros_like(mean))):
        network = getattr(denoiser, "backbone", denoiser)
        raise ValueError(
            f"the network {type(network).__name__} has one answer for no condition, a context of zeros, and for the mean of "
            f"the conditions, whose last of {size} numbers is 1; use that number in forward"
        )


@torch.no_grad()
def answers_differ(denoiser: nn.Module, event_shape: tuple[int, ...], name: str, pair: tuple[Any, Any]) -> bool:
    """Whether a copy with perturbed weights tells the two values of a condition apart."""
    perturbed = _perturbed(denoiser)
    like = next(perturbed.parameters(), torch.zeros(()))
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, *event_shape, generator=generator, dtype=torch.float64).to(like)
    first, second = (perturbed(x, Kernel(1.0, 1.0), **{name: _like(value, like)}) for value in pair)
    return not torch.equal(first, second)


def check_taken(network: nn.Module, name: str) -> None:
    """Raises ValueError for a network whose forward has no argument of this name."""
    found = inspect.signature(network.forward).parameters
    if name not in found and not any(one.kind is one.VAR_KEYWORD for one in found.values()):
        raise ValueError(
            f"the network {type(network).__name__} takes no argument {name!r}, and cannot be given the condition; add "
            f"{name} to its forward, or leave the condition out"
        )


def _perturbed(denoiser: nn.Module) -> nn.Module:
    """A copy in eval mode with noise on every weight, the same one each time."""
    found, generator = copy.deepcopy(denoiser).eval(), torch.Generator().manual_seed(0)
    for parameter in found.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.add_((NOISE * noise).to(parameter))
    return found


def _like(value: Any, like: Tensor) -> Any:
    """A condition on the network's device, in its dtype where it is real."""
    if not isinstance(value, Tensor):
        return value
    return value.to(like) if value.is_floating_point() else value.to(like.device)
