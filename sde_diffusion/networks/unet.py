"""A small U-Net: down to coarse pictures and up again, with every fine picture handed across.

References:
    Ronneberger, Fischer & Brox, U-Net, 2015, https://arxiv.org/abs/1505.04597
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, appendix B
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sde_diffusion.networks.base import Backbone, zeroed
from sde_diffusion.networks.blocks import Double, Halve, ResidualBlock, SelfAttention, group_norm
from sde_diffusion.networks.conditioning import Conditioning


class UNet(Backbone):
    """For pictures (channels, H, W) of any H and W divisible by 2^(levels - 1).

    Level i has width * multipliers[i] channels and `blocks` residual blocks on the way down, one more on the way up;
    the levels listed in `attention` (0 is the finest) have self-attention, and so has the middle when any level is
    listed. `classes` is the number of labels.
    """

    name = "unet"

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (),
        classes: int | None = None,
    ) -> None:
        super().__init__()
        _check(channels, width, multipliers, blocks, attention)
        self.channels, self.factor = channels, 2 ** (len(multipliers) - 1)
        widths, vector = [width * m for m in multipliers], 4 * width
        self.condition = Conditioning(vector, classes)
        self.enter = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down, kept = _descent(widths, blocks, attention, vector)
        self.middle = nn.ModuleList(_Stage(widths[-1], widths[-1], vector, i == 0 and bool(attention)) for i in (0, 1))
        self.up = _ascent(widths, kept, blocks, attention, vector)
        self.leave = nn.Sequential(
            group_norm(widths[0]), nn.SiLU(), zeroed(nn.Conv2d(widths[0], channels, 3, padding=1))
        )

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A U-Net for pictures of this shape (C, H, W); ValueError when it is no picture or does not halve evenly."""
        if len(event_shape) != 3:
            raise ValueError(f"a U-Net takes pictures (C, H, W), got events of shape {tuple(event_shape)}; try TimeMLP")
        network = cls(event_shape[0], **options)
        network.check(event_shape)
        return network

    def forward(self, x: Tensor, c_time: Tensor | float, label: Tensor | int | None = None) -> Tensor:
        """See `Backbone.forward`; ValueError for pictures that do not fit."""
        self.check(x.shape[1:])
        vector = silu(self.condition(c_time, x, label))
        h = self.enter(x)
        kept = [h]
        for part in self.down:
            h = part(h, vector)
            kept.append(h)
        for part in self.middle:
            h = part(h, vector)
        for part in self.up:
            h = part(h if part.keeps else torch.cat([h, kept.pop()], dim=1), vector)
        return self.leave(h)

    def check(self, event_shape: Sequence[int]) -> None:
        """Refuse what is not (channels, H, W) with H and W divisible by the factor of the coarsest level."""
        shape = tuple(event_shape)
        if len(shape) != 3 or shape[0] != self.channels or shape[1] % self.factor or shape[2] % self.factor:
            raise ValueError(
                f"this U-Net takes pictures ({self.channels}, H, W) with H and W divisible by {self.factor}, "
                f"got {shape}; pad them or use fewer multipliers"
            )


class _Stage(nn.Module):
    """A residual block, then attention if asked: (B, C, H, W), (B, V) -> (B, D, H, W)."""

    keeps = False

    def __init__(self, channels: int, out_channels: int, vector: int, attend: bool) -> None:
        super().__init__()
        self.block = ResidualBlock(channels, out_channels, vector)
        self.attention = SelfAttention(out_channels) if attend else nn.Identity()

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return self.attention(self.block(x, vector))


class _Resize(nn.Module):
    """A change of resolution in the place of a stage."""

    keeps = True

    def __init__(self, change: nn.Module) -> None:
        super().__init__()
        self.change = change

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return self.change(x)


def _descent(widths: list[int], blocks: int, attention: Sequence[int], vector: int) -> tuple[nn.ModuleList, list[int]]:
    """The parts of the way down, and the number of channels that `enter` and each part hand across."""
    parts, kept = nn.ModuleList(), [widths[0]]
    for level, width in enumerate(widths):
        for _ in range(blocks):
            parts.append(_Stage(kept[-1], width, vector, level in attention))
            kept.append(width)
        if level < len(widths) - 1:
            parts.append(_Resize(Halve(width)))
            kept.append(width)
    return parts, kept


def _ascent(widths: list[int], kept: list[int], blocks: int, attention: Sequence[int], vector: int) -> nn.ModuleList:
    """The parts of the way up: one stage for each picture handed across, a doubling between levels."""
    parts, kept, channels = nn.ModuleList(), list(kept), widths[-1]
    for level, width in reversed(list(enumerate(widths))):
        for _ in range(blocks + 1):
            parts.append(_Stage(channels + kept.pop(), width, vector, level in attention))
            channels = width
        if level > 0:
            parts.append(_Resize(Double(width)))
    return parts


def _check(channels: int, width: int, multipliers: Sequence[int], blocks: int, attention: Sequence[int]) -> None:
    if not multipliers or min(channels, width, blocks, *multipliers) < 1:
        raise ValueError(
            "channels, width, blocks and each multiplier are at least 1, got "
            f"{channels}, {width}, {blocks} and {tuple(multipliers)}"
        )
    if any(not 0 <= level < len(multipliers) for level in attention):
        raise ValueError(f"attention lists levels 0 .. {len(multipliers) - 1}, got {tuple(attention)}")
