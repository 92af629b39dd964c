"""What a backbone is: a network from a state and a noise level to a tensor like the state, ignorant of any process."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from sde_diffusion.networks.attention import transformed

Layer = TypeVar("Layer", bound=nn.Module)


class Backbone(nn.Module, ABC):
    """A network (B, *E) -> (B, *E) that begins as the zero function, so that a preconditioned model begins sane.

    `arguments` is what its constructor was called with, by name: with the class's name, a description of the network as
    plain data. `presets` are arguments by a name: `UNet.fitting(event_shape, **UNet.presets["small"])`.
    With `checkpointing` set to True, training keeps only the input of each block and computes its inside a second time
    on the way back: less memory, a third more time, the same gradients bit for bit.
    """

    arguments: dict[str, Any]
    checkpointing: bool = False
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {}

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Keep the arguments; a wrong call is refused by the constructor itself."""
        network = super().__new__(cls)
        try:
            arguments = dict(inspect.signature(cls).bind_partial(*args, **kwargs).arguments)
        except TypeError:
            arguments = {}
        object.__setattr__(network, "arguments", arguments)
        return network

    @classmethod
    @abstractmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A network for samples of this shape; ValueError when it cannot take them."""

    @abstractmethod
    def forward(self, x: Tensor, c_time: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """The raw output (B, *E) for x (B, *E), the noise level c_time () or (B,) and labels None, () or (B,).

        A network whose constructor takes `context` also takes a condition `context`, (B, context) or None.
        """

    def through(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """block(*inputs), without keeping its inside when `checkpointing`.

        Chen et al., Training Deep Nets with Sublinear Memory Cost, 2016, https://arxiv.org/abs/1604.06174. The transforms
        of torch.func know no checkpoints: within one, all is kept.
        """
        if self.checkpointing and torch.is_grad_enabled() and not transformed():
            return checkpoint(block, *inputs, use_reentrant=False)  # pyright: ignore[reportReturnType]
        return block(*inputs)


def zeroed(layer: Layer) -> Layer:
    """The layer with all its parameters set to zero."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def refuse_other_events(x: Tensor, event_shape: tuple[int, ...]) -> None:
    """Raises ValueError unless x is (B, *event_shape)."""
    if tuple(x.shape[1:]) != event_shape:
        raise ValueError(
            f"this network takes samples of shape {event_shape}, got x of shape {tuple(x.shape)}; build it for your data"
        )
