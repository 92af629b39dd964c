"""A residual multilayer perceptron whose every block is modulated by the noise level.

Each block is h + W_2 SiLU(W_1 ((1 + a) * norm(h) + b)), with (a, b) a linear function of the conditioning vector.

References:
    He et al., Identity Mappings in Deep Residual Networks, 2016, https://arxiv.org/abs/1603.05027
    Perez et al., FiLM: Visual Reasoning with a General Conditioning Layer, 2018, https://arxiv.org/abs/1709.07871
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from torch import Tensor, nn
from torch.nn.functional import silu

from sde_diffusion.networks.base import Backbone, refuse_other_events, zeroed
from sde_diffusion.networks.conditioning import Conditioning


class TimeMLP(Backbone):
    """For samples of shape (features,), or of any `event_shape`, which it flattens: TimeMLP(2), TimeMLP((1, 8, 8)).

    `width` is the size of the hidden layers, `depth` >= 1 the number of blocks, `classes` the number of labels, `context`
    how many numbers the condition has.
    """

    name = "mlp"

    def __init__(
        self,
        features: int | Sequence[int],
        width: int = 256,
        depth: int = 3,
        classes: int | None = None,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.event_shape = (features,) if isinstance(features, int) else tuple(features)
        if min((*self.event_shape, width, depth)) < 1:
            raise ValueError(f"features, width and depth are at least 1, got {features}, {width} and {depth}")
        size = math.prod(self.event_shape)
        vector = max(16, width // 4)
        self.condition = Conditioning(vector, classes, context=context)
        self.enter = nn.Linear(size, width)
        self.blocks = nn.ModuleList(_Block(width, vector) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), zeroed(nn.Linear(width, size)))

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """TimeMLP(event_shape, **options)."""
        return cls(event_shape, **options)

    def forward(
        self,
        x: Tensor,
        c_time: Tensor | float,
        label: Tensor | int | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """See `Backbone.forward`; ValueError for samples of another shape."""
        refuse_other_events(x, self.event_shape)
        vector = silu(self.condition(c_time, x, label, context=context))
        h = self.enter(x.flatten(1))
        for block in self.blocks:
            h = self.through(block, h, vector)
        return self.leave(h).reshape(x.shape)


class _Block(nn.Module):
    """h (B, width), conditioning (B, vector) -> (B, width)."""

    def __init__(self, width: int, vector: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(vector, 2 * width)
        self.body = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, vector: Tensor) -> Tensor:
        gain, shift = self.modulation(vector).chunk(2, dim=-1)
        return h + self.body((1 + gain) * self.norm(h) + shift)
