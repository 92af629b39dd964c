"""The parts of convolutional networks for data of one, two or three dimensions: residual blocks and self-attention.

*S stands for the spatial axes: (L,), (H, W) or (D, H, W). Every pass over memory is counted here: modulation is done by
the normalisation itself, the sum of a block is written into its last convolution, and without gradients SiLU works in
place.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, avg_pool2d, avg_pool3d, group_norm, interpolate, silu

from sde_diffusion.networks.attention import HeadedAttention
from sde_diffusion.networks.base import zeroed

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_AVERAGES = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}
GROUPS, FEWEST = 32, 4  # the most groups of a normalisation, and the fewest channels of a group
HEAD = 64  # channels of a head, as in ADM


def convolution(rank: int, channels: int, out_channels: int, size: int = 3) -> nn.Conv1d | nn.Conv2d | nn.Conv3d:
    """A convolution that keeps the spatial axes, (B, channels, *S) -> (B, out_channels, *S), for `rank` axes."""
    return CONVOLUTIONS[rank](channels, out_channels, size, padding=size // 2)


def normalisation(channels: int) -> nn.GroupNorm:
    """Group normalisation: a power of two of groups, at most 32, each of at least 4 channels where that can be."""
    groups = math.gcd(GROUPS, channels)
    while groups > 1 and channels // groups < FEWEST:
        groups //= 2
    return nn.GroupNorm(groups, channels)


def activated(x: Tensor) -> Tensor:
    """SiLU of a tensor that nobody else needs."""
    return silu(x, inplace=not torch.is_grad_enabled())


def modulated(norm: nn.GroupNorm, x: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """(1 + gain) norm(x) + shift for x (B, C, *S) and gain, shift (B, C).

    Where x is contiguous, (B, C) are taken for the channels of one sample: the norm's own weights then do it all in one
    pass. A compiler fuses the plain form by itself.
    """
    if torch.compiler.is_compiling() or not x.is_contiguous():
        shape = (*gain.shape, *(1,) * (x.ndim - 2))
        return torch.addcmul(shift.reshape(shape), norm(x), 1 + gain.reshape(shape))
    gain = 1 + gain
    weight, bias = norm.weight * gain, torch.addcmul(shift, norm.bias, gain)
    whole = x.reshape(1, -1, *x.shape[2:])
    return group_norm(whole, len(x) * norm.num_groups, weight.flatten(), bias.flatten(), norm.eps).reshape(x.shape)


class Halve(nn.Module):
    """(B, C, *S) -> (B, C, *S/2): the mean of neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        """Mean over blocks of 2 along every axis."""
        return _AVERAGES[x.ndim - 2](x, 2)


class Double(nn.Module):
    """(B, C, *S) -> (B, C, 2 *S): every value repeated."""

    def forward(self, x: Tensor) -> Tensor:
        """Each value 2^rank times; on the CPU axis by axis, for torch's own way goes through another layout and back."""
        if torch.compiler.is_compiling() or x.device.type != "cpu" or not x.is_contiguous():
            return interpolate(x, scale_factor=2.0, mode="nearest")
        for axis in range(2, x.ndim):
            x = x.repeat_interleave(2, dim=axis)
        return x


def to_patches(x: Tensor, side: int) -> Tensor:
    """(B, C, *S) -> (B, C side^rank, *S/side): each block of side^rank numbers becomes channels of one."""
    if side == 1:
        return x
    rank = x.ndim - 2
    split = x.reshape(*x.shape[:2], *(part for size in x.shape[2:] for part in (size // side, side)))
    inside = [3 + 2 * axis for axis in range(rank)]
    return split.permute(0, 1, *inside, *(axis - 1 for axis in inside)).flatten(1, 1 + rank)


def from_patches(x: Tensor, side: int) -> Tensor:
    """(B, C side^rank, *S/side) -> (B, C, *S): the inverse of `to_patches`."""
    if side == 1:
        return x
    rank, sizes = x.ndim - 2, x.shape[2:]
    split = x.reshape(len(x), -1, *[side] * rank, *sizes)
    together = [axis for place in range(rank) for axis in (2 + rank + place, 2 + place)]
    return split.permute(0, 1, *together).reshape(len(x), -1, *(side * size for size in sizes))


class ResidualBlock(nn.Module):
    """x (B, C, *S), conditioning (B, V) -> (B, D, *S'): two convolutions, the second modulated and begun at zero.

    `resize` (Halve, Double or nothing) acts after the first activation and on the way around.

    References:
        Dhariwal & Nichol, Diffusion Models Beat GANs on Image Synthesis, 2021, https://arxiv.org/abs/2105.05233,
            section 3 (adaptive group normalisation, resampling inside residual blocks)
        Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
            https://arxiv.org/abs/2011.13456, appendix H (DDPM++)
    """

    def __init__(
        self,
        rank: int,
        channels: int,
        out_channels: int,
        vector: int,
        dropout: float = 0.0,
        resize: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.resize = nn.Identity() if resize is None else resize
        self.norm1, self.conv1 = normalisation(channels), convolution(rank, channels, out_channels)
        self.modulation = nn.Linear(vector, 2 * out_channels)
        self.norm2 = normalisation(out_channels)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.conv2 = zeroed(convolution(rank, out_channels, out_channels))
        self.skip = nn.Identity() if channels == out_channels else convolution(rank, channels, out_channels, 1)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """skip(x) + conv2(dropout(SiLU((1 + a) norm(conv1(SiLU(norm(x)))) + b)))."""
        gain, shift = self.modulation(vector).chunk(2, dim=1)
        h = self.conv1(self.resize(activated(self.norm1(x))))
        h = self.conv2(self.dropout(activated(modulated(self.norm2, h, gain, shift))))
        return h.add_(self.skip(self.resize(x)))  # a convolution's own output: no derivative needs it


class SelfAttention(nn.Module):
    """Every pixel looks at every other: (B, C, *S) -> the same; heads of about 64 channels, begun as identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = normalisation(channels)
        self.attention = HeadedAttention(channels, math.gcd(channels, max(1, channels // HEAD)))
        zeroed(self.attention.out)

    def forward(self, x: Tensor) -> Tensor:
        """x + attention of norm(x), pixels as tokens."""
        return x + self.attention(self.norm(x).flatten(2).mT).mT.reshape(x.shape)
