r"""Moves, turns and stretches of pictures that do not leak into the samples: the network is given what was done.

A picture point p, in pixels from the centre, goes to G p, and the new picture is x(G^-1 p), with

    G = T(w a_6/8, h a_7/8)  R(a_4) S(s^{a_5}, s^{-a_5}) R(-a_4)  R(-a_3)  S(s^{a_2}, s^{a_2}),    s = 2^{0.2}     (1)

after a mirror left to right (a_0) and upside down (a_1), each by chance a half. Every change but the first is made with
probability `share`, apart from the others, else its numbers are zero. The network is given

    a_0, a_1, a_2, cos a_3 - 1, sin a_3, a_5 cos a_4, a_5 sin a_4, a_6, a_7                                        (2)

which are the same for (a_4, a_5) and (a_4 + pi, -a_5), as in the paper. The authors interpolate by a wavelet filter on a
picture of twice the size; this is bilinear, and beyond the edge the picture is reflected. What is not moved keeps its bits.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix F.2, table 6
    Karras et al., Training Generative Adversarial Networks with Limited Data, 2020, https://arxiv.org/abs/2006.06676
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from sde_diffusion.data.augmentation import Augmentation, like_rows, uniforms
from solvers.random import mix, normals

SCALE, SHIFT = 2**0.2, 1 / 8
"""s of (1), and the standard deviation of the moves as a share of the picture."""


@dataclass(frozen=True)
class Geometric(Augmentation):
    """Equation (1) for pictures (C, H, W); `share` was 0.12 for CIFAR-10 and 0.15 for faces of 64 x 64."""

    share: float = 0.12

    labels: ClassVar[int] = 9

    def __post_init__(self) -> None:
        """Raises ValueError for a share outside [0, 1]."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is the probability of each change, in [0, 1], got {self.share}; 0.12 is usual")

    def __call__(self, x: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """Pictures (B, C, H, W), and (2), (B, 9). Raises ValueError for samples of another rank."""
        if x.ndim != 4:
            raise ValueError(f"samples that are moved have shape (C, H, W), got {tuple(x.shape[1:])}; leave it out")
        a = self.numbers(keys)
        done = described(a).to(x)
        for column, axis in ((0, -1), (1, -2)):
            x = torch.where(like_rows(done[:, column] == 1, x), x.flip(axis), x)
        moved = done[:, 2:].any(1)
        inverse = inverse_map(a, x.shape[-2], x.shape[-1]).to(x)
        found = grid_sample(x, affine_grid(inverse, list(x.shape), False), "bilinear", "reflection", False)
        return torch.where(like_rows(moved, x), found, x), done

    def numbers(self, keys: Tensor) -> Tensor:
        """a_0 to a_7 of each key, float64 (B, 8)."""
        u, z = uniforms(keys, 10), normals(mix(keys, 1), (4,), torch.float64)
        flips, angles = (u[:, :2] < 0.5).double(), (2 * u[:, 2:4] - 1) * math.pi
        does = (u[:, 4:9] < self.share).double()  # upside down, scale, turn, stretch, move
        a = torch.cat([flips, z[:, :1], angles, z[:, 1:]], 1)
        return a * torch.cat([torch.ones_like(does[:, :1]), does[:, [0, 1, 2, 3, 3, 4, 4]]], 1)


def described(a: Tensor) -> Tensor:
    """Equation (2), (B, 9)."""
    a0, a1, a2, a3, a4, a5, a6, a7 = a.unbind(1)
    return torch.stack([a0, a1, a2, a3.cos() - 1, a3.sin(), a5 * a4.cos(), a5 * a4.sin(), a6, a7], 1)


def inverse_map(a: Tensor, height: int, width: int) -> Tensor:
    """The first two rows of G^-1 of (1), (B, 2, 3), in the coordinates of `affine_grid`: -1 and 1 at the edges."""
    _, _, a2, a3, a4, a5, a6, a7 = a.unbind(1)
    zoom, stretch = SCALE**-a2, SCALE**-a5
    linear = _turn(a3) @ _turn(a4) @ _diagonal(stretch, 1 / stretch) @ _turn(-a4)
    linear = _diagonal(zoom, zoom) @ linear
    half = torch.tensor([width / 2, height / 2], dtype=a.dtype)
    shift = torch.stack([width * SHIFT * a6, height * SHIFT * a7], 1)
    offset = -(linear @ shift[:, :, None])
    return torch.cat([linear * half / half[:, None], offset / half[:, None]], 2)


def _turn(angle: Tensor) -> Tensor:
    """Rotations (B, 2, 2)."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def _diagonal(one: Tensor, other: Tensor) -> Tensor:
    return torch.diag_embed(torch.stack([one, other], -1))
