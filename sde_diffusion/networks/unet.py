"""A U-Net: down to coarse data and up again, with everything fine handed across; for sequences, pictures and volumes.

Its residual blocks are those of ADM and DDPM++: modulated by the conditioning, resampling inside the blocks.

References:
    Ronneberger, Fischer & Brox, U-Net, 2015, https://arxiv.org/abs/1505.04597
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, appendix B
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, appendix H (DDPM++)
    Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, https://arxiv.org/abs/2105.05233 (ADM)
    Luhman & Luhman, Improving Diffusion Model Efficiency Through Patching, 2022, https://arxiv.org/abs/2207.04316 (`patch`)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from sde_diffusion.networks import presets
from sde_diffusion.networks.base import Backbone, zeroed
from sde_diffusion.networks.blocks import (
    Double,
    Halve,
    ResidualBlock,
    SelfAttention,
    activated,
    convolution,
    from_patches,
    normalisation,
    to_patches,
)
from sde_diffusion.networks.conditioning import Conditioning

_AXES = {1: "(L,)", 2: "(H, W)", 3: "(D, H, W)"}


class UNet(Backbone):
    """For samples (channels, *S), *S of `rank` axes (1, 2 or 3), each divisible by 2^(levels - 1).

    Level i has width * multipliers[i] channels and `blocks` residual blocks on the way down, one more on the way up;
    the levels listed in `attention` (0 is the finest) have self-attention, and so has the middle when any level is
    listed. `classes` is the number of labels, `dropout` the share of activations left out in training, `vector` the
    width of the conditioning, 4 * width unless given, `augment` how many numbers say how a sample was changed, `context`
    how many numbers the condition has. With `patch` p, blocks of p^rank numbers of a channel become channels of data with
    sides p times as short, on which all else works: the finest level of a large picture, the most expensive one, falls away.
    """

    name = "unet"
    presets = presets.UNET

    def __init__(
        self,
        channels: int = 1,
        width: int = 32,
        multipliers: Sequence[int] = (1, 2),
        blocks: int = 1,
        attention: Sequence[int] = (),
        classes: int | None = None,
        dropout: float = 0.0,
        vector: int | None = None,
        rank: int = 2,
        checkpointing: bool = False,
        augment: int = 0,
        context: int = 0,
        patch: int = 1,
    ) -> None:
        super().__init__()
        _check(channels, width, multipliers, blocks, attention)
        _check_more(rank, dropout, patch)
        self.channels, self.rank, self.factor = channels, rank, patch * 2 ** (len(multipliers) - 1)
        self._patch, inner = patch, channels * patch**rank
        self.checkpointing = checkpointing
        widths, vector = [width * m for m in multipliers], 4 * width if vector is None else vector
        build = _Builder(rank, vector, dropout, tuple(attention))
        self.condition, self.augment = Conditioning(vector, classes, augment, context), augment
        self.enter = convolution(rank, inner, width)
        self.down, kept = build.descent(width, widths, blocks)
        middle = widths[-1]
        self.middle = nn.ModuleList(build.stage(middle, middle, attend=i == 0 and bool(attention)) for i in (0, 1))
        self.up = build.ascent(widths, kept, blocks)
        self.norm = normalisation(widths[0])
        self.leave = zeroed(convolution(rank, widths[0], inner))

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A U-Net for samples of this shape (C, *S); ValueError for a wrong rank or what does not halve evenly."""
        if not 2 <= len(event_shape) <= 4:
            raise ValueError(
                "a U-Net takes samples (C, L), (C, H, W) or (C, D, H, W), got samples of shape "
                f"{tuple(event_shape)}; try TimeMLP"
            )
        network = cls(event_shape[0], rank=len(event_shape) - 1, **options)
        network.check(event_shape)
        return network

    def forward(
        self,
        x: Tensor,
        c_time: Tensor | float,
        label: Tensor | int | None = None,
        augment_labels: Tensor | None = None,
        context: Tensor | None = None,
    ) -> Tensor:
        """See `Backbone.forward`; ValueError for samples that do not fit."""
        self.check(x.shape[1:])
        vector = silu(self.condition(c_time, x, label, augment_labels, context))
        h = self.enter(to_patches(x, self._patch))
        kept = [h]
        for part in self.down:
            h = self.through(part, h, vector)
            kept.append(h)
        for part in self.middle:
            h = self.through(part, h, vector)
        for part in self.up:
            h = self.through(part, h if part.resizes else torch.cat([h, kept.pop()], dim=1), vector)
        return from_patches(self.leave(activated(self.norm(h))), self._patch)

    def check(self, event_shape: Sequence[int]) -> None:
        """Refuse what is not (channels, *S) with *S divisible by the factor of the coarsest level."""
        channels, *axes = tuple(event_shape)
        if channels != self.channels or len(axes) != self.rank or any(size % self.factor for size in axes):
            flat = len(event_shape) == self.rank and self.channels == 1
            raise ValueError(
                f"this U-Net takes samples ({self.channels}, *{_AXES[self.rank]}) with each axis divisible by "
                f"{self.factor}, got {tuple(event_shape)}; "
                + ("give the data a channel axis, x[:, None]" if flat else "pad them or use fewer multipliers")
            )


class _Stage(nn.Module):
    """A residual block, then attention if asked: (B, C, *S), (B, V) -> (B, D, *S')."""

    def __init__(self, block: ResidualBlock, attend: bool, resizes: bool) -> None:
        super().__init__()
        self.block, self.resizes = block, resizes
        self.attention = SelfAttention(block.norm2.num_channels) if attend else nn.Identity()

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        return self.attention(self.block(x, vector))


class _Builder:
    """What all stages of one network have in common."""

    def __init__(self, rank: int, vector: int, dropout: float, attention: tuple[int, ...]) -> None:
        self.rank, self.vector, self.dropout, self.attention = rank, vector, dropout, attention

    def stage(self, channels: int, out_channels: int, attend: bool, resize: nn.Module | None = None) -> _Stage:
        block = ResidualBlock(self.rank, channels, out_channels, self.vector, self.dropout, resize)
        return _Stage(block, attend, resizes=resize is not None)

    def descent(self, width: int, widths: list[int], blocks: int) -> tuple[nn.ModuleList, list[int]]:
        """The way down, and the number of channels that `enter` and each part hand across."""
        parts, kept = nn.ModuleList(), [width]
        for level, wide in enumerate(widths):
            if level > 0:
                parts.append(self.stage(kept[-1], kept[-1], False, Halve()))
                kept.append(kept[-1])
            for _ in range(blocks):
                parts.append(self.stage(kept[-1], wide, level in self.attention))
                kept.append(wide)
        return parts, kept

    def ascent(self, widths: list[int], kept: list[int], blocks: int) -> nn.ModuleList:
        """The way up: one stage for each tensor handed across, a doubling between levels."""
        parts, kept, channels = nn.ModuleList(), list(kept), widths[-1]
        for level, wide in reversed(list(enumerate(widths))):
            for _ in range(blocks + 1):
                parts.append(self.stage(channels + kept.pop(), wide, level in self.attention))
                channels = wide
            if level > 0:
                parts.append(self.stage(wide, wide, False, Double()))
        return parts


def _check(channels: int, width: int, multipliers: Sequence[int], blocks: int, attention: Sequence[int]) -> None:
    if not multipliers or min(channels, width, blocks, *multipliers) < 1:
        raise ValueError(
            "channels, width, blocks and each multiplier are at least 1, got "
            f"{channels}, {width}, {blocks} and {tuple(multipliers)}"
        )
    if any(not 0 <= level < len(multipliers) for level in attention):
        raise ValueError(f"attention lists levels 0 .. {len(multipliers) - 1}, got {tuple(attention)}")


def _check_more(rank: int, dropout: float, patch: int) -> None:
    if patch < 1:
        raise ValueError(
            f"patch is the side of a block of pixels, at least 1, got {patch}; 2 is usual for large pictures"
        )
    if rank not in _AXES:
        raise ValueError(f"the samples have 1, 2 or 3 axes besides their channels, got rank {rank}")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is a share in [0, 1), got {dropout}; 0.1 is usual")
