"""What a network costs: its parameters, and the floating-point operations of one sample's way through it.

A multiplication and an addition are two operations; matrix products, convolutions and attention count, elementwise work
does not. Nothing is computed: the network is walked through with tensors that have shapes and no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.func import functional_call
from torch.utils.flop_counter import FlopCounterMode

from sde_diffusion.networks.attention import twice_differentiable


@dataclass(frozen=True)
class Cost:
    """How many parameters, and how many operations one forward pass of one sample takes."""

    parameters: int
    flops: int


def cost(network: nn.Module, event_shape: Sequence[int]) -> Cost:
    """The cost of a network (x, c_time) -> x for samples of this shape; it may itself be on the meta device.

    with torch.device("meta"):
        network = UNet.fitting((3, 32, 32), **UNet.presets["ddpm++"])
    cost(network, (3, 32, 32))
    """
    named = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    ghosts = {name: value.detach().to("meta") for name, value in named.items()}
    x = torch.empty(1, *event_shape, device="meta", dtype=_dtype(network))
    level = torch.zeros(1, device="meta", dtype=x.dtype)
    with torch.no_grad(), twice_differentiable(), FlopCounterMode(display=False) as counted:
        functional_call(network, ghosts, (x, level))
    return Cost(sum(parameter.numel() for parameter in network.parameters()), counted.get_total_flops())


def _dtype(network: nn.Module) -> torch.dtype:
    return next((p.dtype for p in network.parameters()), torch.get_default_dtype())
