r"""DDPM++ and NCSN++, the U-Nets of the score SDE paper, with the conditioning that their authors trained them with.

    block(x) = (skip(x') + conv_1(silu(norm_1(conv_0(silu(norm_0(x))') + affine(v)))))/sqrt(2)                       (1)

where ' halves or doubles the sides where the block does. Attention of one head follows where it is asked for, divided by
sqrt(2) as well; on the way up the last block of a level has it. NCSN++ resamples with a longer filter, has random
frequencies of the noise level, and adds a reduced copy of its input to each coarser level:

    a <- (h + conv(a)')/sqrt(2),  h <- a,    a = x at the start                                                     (2)

`weights_of_song` has the names that others gave to the parameters.

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, appendix H
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix F.4
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv_transpose2d, one_hot, silu

from sde_diffusion.networks.attention import HeadedAttention
from sde_diffusion.networks.base import Backbone, zeroed
from sde_diffusion.networks.blocks import convolution
from sde_diffusion.networks.foreign import ChainTimestep, DiffusersBackbone, LogTimestep

BOX, LONG = (1.0, 1.0), (1.0, 3.0, 3.0, 1.0)
"""The filters of DDPM++ and of NCSN++ for halving and doubling."""
HALF = math.sqrt(0.5)


class Song(DiffusersBackbone, Backbone):
    """For pictures (channels, H, W) with sides divisible by 2^(levels - 1): DDPM++, and NCSN++ with `ncsn`.

    `width`, `multipliers`, `blocks`, `classes` and `dropout` are those of `UNet`; `attention` lists levels, and the middle always
    has it. `levels` are the noise levels log(sigma/alpha) that the network calls its timesteps 0, 1, ...; without them its
    timestep is log(sigma/alpha)/4, as in EDM. Label -1 stands for no label.
    """

    name = "song"

    def __init__(
        self,
        channels: int = 3,
        width: int = 128,
        multipliers: Sequence[int] = (2, 2, 2),
        blocks: int = 4,
        attention: Sequence[int] = (1,),
        classes: int | None = None,
        dropout: float = 0.0,
        levels: Sequence[float] | None = None,
        ncsn: bool = False,
    ) -> None:
        if min(channels, width, blocks, *multipliers) < 1 or width % 4:
            raise ValueError(
                f"channels, blocks and multipliers are at least 1 and the width a multiple of 4, got {channels}, {blocks}, "
                f"{tuple(multipliers)} and {width}"
            )
        network = _Network(channels, width, multipliers, blocks, set(attention), classes, dropout, ncsn)
        super().__init__(network, LogTimestep() if levels is None else ChainTimestep(levels), no_label=classes)

    @classmethod
    def fitting(cls, event_shape: tuple[int, ...], **options: Any) -> Self:
        """A network for pictures (C, H, W); ValueError for other samples, or for sides that do not halve evenly."""
        factor = 2 ** (len(options.get("multipliers", (2, 2, 2))) - 1)
        if len(event_shape) != 3 or any(side % factor for side in event_shape[1:]):
            raise ValueError(
                f"this network takes pictures (C, H, W) with sides divisible by {factor}, got samples of shape "
                f"{tuple(event_shape)}; pad them, use fewer multipliers, or try unet"
            )
        return cls(event_shape[0], **options)

    @property
    def checkpointing(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether training keeps only the input of each block."""
        network: Any = self.network
        return network.checkpointing

    @checkpointing.setter
    def checkpointing(self, wanted: bool) -> None:
        network: Any = self.network
        network.checkpointing = wanted


class _Network(nn.Module):
    """Called (x, timestep, class_labels), as `DiffusersBackbone` calls networks."""

    checkpointing = False

    def __init__(
        self,
        channels: int,
        width: int,
        multipliers: Sequence[int],
        blocks: int,
        attention: set[int],
        classes: int | None,
        dropout: float,
        ncsn: bool,
    ) -> None:
        super().__init__()
        self.config = SimpleNamespace(in_channels=channels, num_class_embeds=None if classes is None else classes + 1)
        self.condition = _Conditioning(width, classes, ncsn)
        self.enter, filter = convolution(2, channels, width), LONG if ncsn else BOX
        down, up, kept = [], [], [width]

        def block(of: int, to: int, attend: bool = False, resize: nn.Module | None = None) -> _Block:
            return _Block(of, to, 4 * width, dropout, attend, resize)

        self.inputs = nn.ModuleList()
        for level, multiplier in enumerate(multipliers):
            if level:
                down.append(block(kept[-1], kept[-1], resize=Halved(filter)))
                kept.append(kept[-1])
                if ncsn:
                    self.inputs.append(_Reduced(channels if level == 1 else kept[-1 - blocks - 1], kept[-1]))
            for _ in range(blocks):
                down.append(block(kept[-1], width * multiplier, level in attention))
                kept.append(width * multiplier)
        last = kept[-1]
        self.middle = nn.ModuleList([block(last, last, True), block(last, last)])
        for level, multiplier in reversed(list(enumerate(multipliers))):
            for number in range(blocks + 1):
                up.append(block(last + kept.pop(), width * multiplier, number == blocks and level in attention))
                last = width * multiplier
            if level:
                up.append(block(last, last, resize=Doubled(filter)))
        self.down, self.up = nn.ModuleList(down), nn.ModuleList(up)
        self.norm, self.leave = normalisation(last), zeroed(convolution(2, last, channels))

    def forward(self, x: Tensor, timestep: Tensor, class_labels: Tensor | None = None) -> Tensor:
        vector = self.condition(timestep.to(x), class_labels)
        h, a, inputs = self.enter(x), x, iter(self.inputs)
        kept = [h]
        for block in self.down:
            h = self._through(block, h, vector)
            if block.resize is not None and (reduced := next(inputs, None)) is not None:
                h = a = HALF * (h + reduced(a))
            kept.append(h)
        for block in self.middle:
            h = self._through(block, h, vector)
        for block in self.up:
            h = self._through(block, h if block.resize is not None else torch.cat([h, kept.pop()], dim=1), vector)
        return self.leave(silu(self.norm(h)))

    def _through(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        return Backbone.through(self, block, *inputs)  # pyright: ignore[reportArgumentType]


class _Block(nn.Module):
    """Equation (1): (B, C, H, W), (B, V) -> (B, D, H', W')."""

    def __init__(
        self, channels: int, out_channels: int, vector: int, dropout: float, attend: bool, resize: nn.Module | None
    ) -> None:
        super().__init__()
        self.resize = resize
        self.norm0, self.conv0 = normalisation(channels), convolution(2, channels, out_channels)
        self.affine, self.norm1 = nn.Linear(vector, out_channels), normalisation(out_channels)
        self.dropout, self.conv1 = nn.Dropout(dropout), convolution(2, out_channels, out_channels)
        plain = channels == out_channels and resize is None
        self.skip = nn.Identity() if plain else convolution(2, channels, out_channels, 1)
        self.norm2 = normalisation(out_channels) if attend else None
        self.attention = HeadedAttention(out_channels, 1) if attend else None

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        resize = nn.Identity() if self.resize is None else self.resize
        h = self.conv0(resize(silu(self.norm0(x)))) + self.affine(vector)[:, :, None, None]
        h = HALF * (self.skip(resize(x)) + self.conv1(self.dropout(silu(self.norm1(h)))))
        if self.attention is None or self.norm2 is None:
            return h
        return HALF * (h + self.attention(self.norm2(h).flatten(2).mT).mT.reshape(h.shape))


class _Reduced(nn.Module):
    """The reduced copy of equation (2): the filter of a convolution that goes two pixels beyond the edge."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv, self.halved = convolution(2, channels, out_channels), Halved(LONG, padding=0)

    def forward(self, x: Tensor) -> Tensor:
        return self.halved(conv2d(x, self.conv.weight, padding=2)) + self.conv.bias[:, None, None]  # pyright: ignore


class _Conditioning(nn.Module):
    """(timestep (B,), label (B,) or None) -> (B, 4 width); the label after the last is none, and adds the bias alone."""

    def __init__(self, width: int, classes: int | None, ncsn: bool) -> None:
        super().__init__()
        features = 2 * width if ncsn else width
        self.register_buffer("frequencies", _random(width) if ncsn else _geometric(width))
        self.classes, self.random = classes, ncsn
        self.label = None if classes is None else nn.Linear(classes, features)
        self.layer0, self.layer1 = nn.Linear(features, 4 * width), nn.Linear(4 * width, 4 * width)

    def forward(self, timestep: Tensor, label: Tensor | None) -> Tensor:
        angles = timestep[:, None] * self.frequencies.to(timestep)  # pyright: ignore
        vector = torch.cat([angles.sin(), angles.cos()], dim=1)
        if self.label is not None and self.classes is not None and label is not None:
            known = one_hot(label, self.classes + 1)[:, : self.classes].to(vector)
            vector = vector + self.label(known * math.sqrt(self.classes))
        return silu(self.layer1(silu(self.layer0(vector))))


def _geometric(width: int) -> Tensor:
    """width/2 frequencies from 1 to 1/10000."""
    return 1e-4 ** (torch.arange(width // 2) / (width // 2 - 1))


def _random(width: int) -> Tensor:
    """`width` Gaussian frequencies, 2 pi 16 wide; the same each time a network is made, and replaced by those that are read."""
    return 2 * math.pi * 16 * torch.randn(width, generator=torch.Generator().manual_seed(0))


class Halved(nn.Module):
    """(B, C, H, W) -> (B, C, H/2, W/2) by a filter of each axis; `padding` zeros beyond the edge, half a filter unless given."""

    def __init__(self, filter: Sequence[float], padding: int | None = None) -> None:
        super().__init__()
        self.padding = (len(filter) - 1) // 2 if padding is None else padding
        self.filter: Tensor
        self.register_buffer("filter", _plane(filter), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """The weighted mean of neighbours."""
        kernel = self.filter.to(x).expand(x.shape[1], 1, -1, -1)
        return conv2d(x, kernel, stride=2, padding=self.padding, groups=x.shape[1])


class Doubled(nn.Module):
    """(B, C, H, W) -> (B, C, 2 H, 2 W) by a filter of each axis."""

    def __init__(self, filter: Sequence[float]) -> None:
        super().__init__()
        self.filter: Tensor
        self.register_buffer("filter", _plane(filter), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Each value spread over its neighbours."""
        kernel = 4 * self.filter.to(x).expand(x.shape[1], 1, -1, -1)
        return conv_transpose2d(x, kernel, stride=2, padding=(kernel.shape[-1] - 1) // 2, groups=x.shape[1])


def _plane(filter: Sequence[float]) -> Tensor:
    one = torch.tensor(filter)
    return torch.outer(one, one)[None, None] / one.sum().square()


def normalisation(channels: int) -> nn.GroupNorm:
    """Group normalisation as there: at most 32 groups of at least 4 channels."""
    return nn.GroupNorm(max(1, min(32, channels // 4)), channels, eps=1e-6)
