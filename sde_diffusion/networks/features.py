r"""What a network gets as the noise level: bounded, smooth functions of one number such as a log-SNR.

    c' = 40 tanh(c / 40),   features = (sin w_k c', cos w_k c'),  k = 1 .. K                                     (1)

with w_k in geometric progression from pi / 80, which makes sin w_1 c' increase over all of (-40, 40), to 8, which tells
apart levels that differ by a few hundredths. The tanh leaves |c| < 10 nearly as it is and makes c = +-inf, the data and
the pure noise, ordinary inputs.

References:
    Vaswani et al., Attention Is All You Need, 2017, https://arxiv.org/abs/1706.03762, section 3.5
    Tancik et al., Fourier Features Let Networks Learn High Frequency Functions, 2020, https://arxiv.org/abs/2006.10739
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from solvers.elementwise import constant

BOUND = 40.0
SLOWEST, FASTEST = math.pi / (2 * BOUND), 8.0


def level_features(c: Tensor, width: int) -> Tensor:
    """Equation (1): c (B,) -> (B, width), width even, in [-1, 1] and in c's dtype."""
    if width < 2 or width % 2:
        raise ValueError(f"the number of level features is even and at least 2, got {width}")
    exponents = torch.linspace(0, 1, width // 2, dtype=c.dtype, device=c.device)
    angles = BOUND * torch.tanh(c / BOUND)[:, None] * (SLOWEST * (FASTEST / SLOWEST) ** exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)


def per_sample(c_time: Tensor | float, x: Tensor) -> Tensor:
    """The noise level of each sample of x (B, *E): a float or shape () is repeated, (B,) passes.

    The answer is on x's device, in x's dtype but never less than float32. Raises ValueError for any other shape.
    """
    c = constant(c_time, torch.promote_types(x.dtype, torch.float32), x.device)
    if c.ndim > 1 or (c.ndim == 1 and c.shape[0] != x.shape[0]):
        raise ValueError(f"c_time has shape () or ({x.shape[0]},), got {tuple(c.shape)}; give one level per sample")
    return c.expand(x.shape[0])
