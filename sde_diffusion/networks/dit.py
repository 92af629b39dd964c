r"""A transformer of patches, modulated by the conditioning and begun as the zero function.

Each block, with six vectors (a, b, c, ...) linear in the conditioning and zero at the start (adaLN-Zero), is

    h <- h + c attention((1 + a) norm(h) + b),    h <- h + f mlp((1 + d) norm(h) + e).                             (1)

A patch's place is encoded by sines and cosines of each of its coordinates, so that any number of axes will do.

References:
    Peebles & Xie, Scalable Diffusion Models with Transformers, 2023, https://arxiv.org/abs/2212.09748
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sde_diffusion.networks import presets
from sde_diffusion.networks.attention import HeadedAttention
from sde_diffusion.networks.base import Backbone, refuse_other_events, zeroed
from sde_diffusion.networks.conditioning import Conditioning

RATIO = 4  # the hidden width of a block's perceptron over its width
SLOWEST = 1e-4  # the lowest frequency of a place, in radians a patch


class DiT(Backbone):
    """For samples (channels, *S) with one, two or three axes *S, each divisible by `patch`.

    `width` is that of a token, `depth` the number of blocks, `heads` divides the width; `classes` is the number of
    labels, `dropout` the share of a perceptron's activations left out in training, `augment` how many numbers say how a
    sample was changed, `context` how many numbers the condition has.
    """

    name = "dit"
    presets = presets.DIT

    def __init__(
        self,
        event_shape: Sequence[int],
        patch: int = 2,
        width: int = 192,
        depth: int = 6,
        heads: int = 3,
        classes: int | None = None,
        dropout: float = 0.0,
        checkpointing: bool = False,
        augment: int = 0,
        context: int = 0,
    ) -> None:
        super().__init__()
        self.event_shape, self.patch = tuple(event_shape), patch
        _check(self.event_shape, patch, width, depth, dropout)
        self.checkpointing = checkpointing
        size = self.event_shape[0] * patch ** (len(self.event_shape) - 1)
        self.condition, self.augment = Conditioning(width, classes, augment, context), augment
        self.enter = nn.Linear(size, width)
        self.register_buffer("places", places(self._grid(), width), persistent=False)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(depth))
        self.norm = _norm(width)
        self.modulation = zeroed(nn.Linear(width, 2 * width))
        self.leave = zeroed(nn.Linear(width, size))

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """DiT(event_shape, **options)."""
        return cls(event_shape, **options)

    def forward(
        self,
        x: Tensor,
        c_time: Tensor | float,
        label: Tensor | int | None = None,
        augment_labels: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """See `Backbone.forward`; ValueError for samples of another shape."""
        refuse_other_events(x, self.event_shape)
        vector = silu(self.condition(c_time, x, label, augment_labels, context))
        h = self.enter(self._patches(x)) + self.places
        for block in self.blocks:
            h = self.through(block, h, vector)
        gain, shift = self.modulation(vector)[:, None].chunk(2, dim=-1)
        return self._joined(self.leave(torch.addcmul(shift, self.norm(h), 1 + gain)))

    def _grid(self) -> tuple[int, ...]:
        return tuple(size // self.patch for size in self.event_shape[1:])

    def _patches(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, patches, C patch^rank)."""
        grid = self._grid()
        split = x.reshape(len(x), -1, *(n for size in grid for n in (size, self.patch)))
        last = range(3, split.ndim, 2)
        return split.permute(0, *range(2, split.ndim, 2), 1, *last).flatten(1 + len(grid)).flatten(1, -2)

    def _joined(self, tokens: Tensor) -> Tensor:
        """The inverse of `_patches`."""
        grid, rank = self._grid(), len(self.event_shape) - 1
        split = tokens.reshape(len(tokens), *grid, self.event_shape[0], *(self.patch,) * rank)
        pairs = [axis for i in range(rank) for axis in (1 + i, 2 + rank + i)]
        return split.permute(0, 1 + rank, *pairs).reshape(len(tokens), *self.event_shape)


class _Block(nn.Module):
    """Equation (1): tokens (B, N, width), conditioning (B, width) -> (B, N, width)."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.modulation = zeroed(nn.Linear(width, 6 * width))
        self.norm1, self.attention = _norm(width), HeadedAttention(width, heads)
        self.norm2 = _norm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, RATIO * width),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout) if dropout else nn.Identity(),
            nn.Linear(RATIO * width, width),
        )

    def forward(self, h: Tensor, vector: Tensor) -> Tensor:
        a, b, c, d, e, f = self.modulation(vector)[:, None].chunk(6, dim=-1)
        h = torch.addcmul(h, c, self.attention(torch.addcmul(b, self.norm1(h), 1 + a)))
        return torch.addcmul(h, f, self.mlp(torch.addcmul(e, self.norm2(h), 1 + d)))


def _norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)


def places(grid: Sequence[int], width: int) -> Tensor:
    """What tells each patch of a grid where it is: (patches, width), sines and cosines of each coordinate in turn.

    The frequencies fall in geometric progression from 1 to 1e-4; what the width has left over stays zero.
    """
    half = width // (2 * len(grid))
    rates = torch.tensor([SLOWEST ** (i / max(half, 1)) for i in range(half)], dtype=torch.float64)
    axes = torch.meshgrid(*(torch.arange(size, dtype=torch.float64) for size in grid), indexing="ij")
    angles = torch.stack(axes, -1).reshape(-1, len(grid), 1) * rates
    known = torch.cat([angles.sin(), angles.cos()], dim=-1).flatten(1)
    return nn.functional.pad(known, (0, width - known.shape[1])).to(torch.get_default_dtype())


def _check(event_shape: tuple[int, ...], patch: int, width: int, depth: int, dropout: float) -> None:
    if min(patch, width, depth) < 1 or not 0 <= dropout < 1:
        raise ValueError(
            "patch, width and depth are at least 1 and dropout is in [0, 1), got "
            f"{patch}, {width}, {depth} and {dropout}"
        )
    if not 2 <= len(event_shape) <= 4 or min(event_shape) < 1 or any(size % patch for size in event_shape[1:]):
        raise ValueError(
            f"a DiT takes samples (C, L), (C, H, W) or (C, D, H, W) with each axis divisible by its patch {patch}, got "
            f"{event_shape}; pad them, change the patch or try TimeMLP"
        )
