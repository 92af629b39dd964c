r"""What a bridge knows of a state: both ends, E[x_0 | x_t] and E[x_1 | x_t], for any junction x_t = a x_0 + b x_1 + c z.

Preconditioning: with V0, V1 and C the variances and the covariance of one coordinate of (x_0, x_1), the best linear guess of
an end and its error are

    V = a^2 V0 + b^2 V1 + 2 a b C + c^2,   x0_lin = (a V0 + b C)/V x_t,   (error)^2 = V0 - (a V0 + b C)^2/V,         (1)

the same for x_1 with (a C + b V1). The network sees x_t/sqrt(V) and predicts the remainders in units of the errors. EDM's
coefficients are the case V1 = 1, C = c = 0 of the first, DDBM's that of the Brownian bridge.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix B.6
    Zhou et al., Denoising Diffusion Bridge Models, 2023, https://arxiv.org/abs/2309.16948, section 5.1
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import floating_dtype
from sde_diffusion.junction import Junction
from solvers.elementary import sqrt
from solvers.elementwise import Coefficient, combine, constant


class Ends(nn.Module, ABC):
    """E[x_0 | x_t] and E[x_1 | x_t] for any junction."""

    @abstractmethod
    def forward(self, x_t: Tensor, junction: Junction, **condition) -> tuple[Tensor, Tensor]:
        """(x0_hat, x1_hat), each of x_t's shape (B, *E) and dtype."""


class PreconditionedEnds(Ends):
    """A network with two heads and the preconditioning (1).

    The backbone is any `nn.Module` with forward(x, c_time, **condition) whose output has twice the channels of x, (B, 2 C, ...):
    the remainder of x_0, then that of x_1. c_time (B,) is the share log(b/a)/4 of the way, as EDM's is log(sigma)/4.

    Args:
        near_variance, far_variance, covariance: V0, V1 and C, of one coordinate and averaged over them.
    """

    def __init__(
        self, backbone: nn.Module, near_variance: float = 1.0, far_variance: float = 1.0, covariance: float = 0.0
    ) -> None:
        super().__init__()
        if not (near_variance > 0 and far_variance > 0 and covariance**2 <= near_variance * far_variance):
            raise ValueError(
                f"expected variances > 0 and |covariance| <= their root, got {near_variance}, {far_variance} and "
                f"{covariance}; measure them on the pairs"
            )
        self.backbone, self.moments = backbone, (near_variance, far_variance, covariance)

    def forward(self, x_t: Tensor, junction: Junction, **condition) -> tuple[Tensor, Tensor]:
        """The linear guesses with the network's remainders."""
        v0, v1, c01 = self.moments
        a, b = junction.a, junction.b
        total = a**2 * v0 + b**2 * v1 + 2 * a * b * c01 + junction.c**2
        own = floating_dtype(self.backbone) or x_t.dtype
        inner = combine(1 / sqrt(total), x_t, 0.0, x_t).to(own)
        raw = self.backbone(inner, self._level(junction, x_t).to(own), **condition).to(x_t.dtype)
        if raw.ndim != x_t.ndim or raw.shape[1] != 2 * x_t.shape[1]:
            raise ValueError(
                f"the backbone returned {tuple(raw.shape)} for states {tuple(x_t.shape)}; two ends need twice the channels"
            )
        near, far = raw.chunk(2, 1)
        (skip0, out0), (skip1, out1) = (
            _guess(v, m, total) for v, m in ((v0, a * v0 + b * c01), (v1, a * c01 + b * v1))
        )
        return combine(skip0, x_t, out0, near), combine(skip1, x_t, out1, far)

    def _level(self, junction: Junction, x: Tensor) -> Tensor:
        a, b = (constant(one, torch.float64, x.device).clamp_min(1e-4) for one in (junction.a, junction.b))
        return ((b / a).log() / 4).expand(len(x))


def _guess(variance: float, shared: Coefficient, total: Coefficient) -> tuple[Coefficient, Coefficient]:
    """(skip, out) of equation (1); the error is at least 1e-3 of the deviation, where rounding would leave nothing."""
    left = variance - shared**2 / total
    floor = 1e-6 * variance
    return shared / total, sqrt(left.clamp(min=floor) if isinstance(left, Tensor) else max(left, floor))
