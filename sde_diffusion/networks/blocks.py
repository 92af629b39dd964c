"""The parts of convolutional networks: residual blocks, self-attention, and a change of resolution by two."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn.functional import interpolate, silu

from sde_diffusion.networks.base import zeroed


def group_norm(channels: int) -> nn.GroupNorm:
    """Group normalisation with at most 8 groups: as many as divide the channels."""
    return nn.GroupNorm(math.gcd(8, channels), channels)


class ResidualBlock(nn.Module):
    """x (B, C, H, W), conditioning (B, V) -> (B, D, H, W): two convolutions, the second modulated and begun at zero."""

    def __init__(self, channels: int, out_channels: int, vector_width: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = group_norm(channels), nn.Conv2d(channels, out_channels, 3, padding=1)
        self.modulation = nn.Linear(vector_width, 2 * out_channels)
        self.norm2, self.conv2 = group_norm(out_channels), zeroed(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        self.skip = nn.Identity() if channels == out_channels else nn.Conv2d(channels, out_channels, 1)

    def forward(self, x: Tensor, vector: Tensor) -> Tensor:
        """skip(x) + conv2(SiLU((1 + a) norm(conv1(SiLU(norm(x)))) + b))."""
        gain, shift = self.modulation(vector)[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(silu(self.norm1(x)))
        return self.skip(x) + self.conv2(silu((1 + gain) * self.norm2(h) + shift))


class SelfAttention(nn.Module):
    """Every pixel looks at every other: (B, C, H, W) -> the same; heads of about 32 channels, begun as identity.

    Written out: fused kernels have neither the second derivative of score matching nor the forward one of likelihoods.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = math.gcd(channels, max(1, channels // 32))
        self.norm = group_norm(channels)
        self.query_key_value = nn.Conv2d(channels, 3 * channels, 1)
        self.out = zeroed(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x + out(v softmax(q k / sqrt(width of a head)))."""
        parts = self.query_key_value(self.norm(x)).flatten(2).unflatten(1, (3, self.heads, -1))
        query, key, value = parts.unbind(1)
        weights = (key.mT @ query / math.sqrt(key.shape[2])).softmax(dim=2)
        return x + self.out((value @ weights).reshape(x.shape))


class Halve(nn.Module):
    """(B, C, H, W) -> (B, C, H/2, W/2)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """A convolution of stride 2."""
        return self.conv(x)


class Double(nn.Module):
    """(B, C, H, W) -> (B, C, 2H, 2W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Each pixel four times, then a convolution."""
        return self.conv(interpolate(x, scale_factor=2.0, mode="nearest"))
