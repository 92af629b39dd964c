"""What a backbone is: a network from a state and a noise level to a tensor like the state, ignorant of any process."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Self

from torch import Tensor, nn


class Backbone(nn.Module, ABC):
    """A network (B, *E) -> (B, *E) that begins as the zero function, so that a preconditioned model begins sane."""

    @classmethod
    @abstractmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A network for events of this shape; ValueError when it cannot take them."""

    @abstractmethod
    def forward(self, x: Tensor, c_time: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """The raw output (B, *E) for x (B, *E), the noise level c_time () or (B,) and labels None, () or (B,)."""


def zeroed(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """The layer with its weight and bias set to zero."""
    nn.init.zeros_(layer.weight)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
