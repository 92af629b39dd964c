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
from typing import final

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import floating_dtype
from sde_diffusion.junction import Junction
from solvers.elementary import sqrt
from solvers.elementwise import Coefficient, combine, constant, scale


class Ends(nn.Module, ABC):
    """E[x_0 | x_t] and E[x_1 | x_t] for any junction; each answer is of x_t's shape (B, *E) and dtype."""

    @abstractmethod
    def near(self, x_t: Tensor, junction: Junction, **condition) -> Tensor:
        """E[x_0 | x_t]."""

    @abstractmethod
    def far(self, x_t: Tensor, junction: Junction, **condition) -> Tensor:
        """E[x_1 | x_t]."""

    @final
    def forward(self, x_t: Tensor, junction: Junction, **condition) -> tuple[Tensor, Tensor]:
        """Both."""
        return self.near(x_t, junction, **condition), self.far(x_t, junction, **condition)


class PreconditionedEnds(Ends):
    """Two networks with the preconditioning (1), one for each end: a half-bridge calls one of them.

    Each is any `nn.Module` with forward(x, c_time, **condition) -> (B, *E), where c_time (B,) is log(b/a)/4, as EDM's is
    log(sigma/alpha)/4.

    Args:
        near_variance, far_variance, covariance: V0, V1 and C, of one coordinate and averaged over them.
    """

    def __init__(
        self,
        near_network: nn.Module,
        far_network: nn.Module,
        near_variance: float = 1.0,
        far_variance: float = 1.0,
        covariance: float = 0.0,
    ) -> None:
        super().__init__()
        if not (near_variance > 0 and far_variance > 0 and covariance**2 <= near_variance * far_variance):
            raise ValueError(
                f"expected variances > 0 and |covariance| at most their geometric mean, got {near_variance}, "
                f"{far_variance} and {covariance}; measure them on the pairs"
            )
        self.near_network, self.far_network = near_network, far_network
        self.moments = (near_variance, far_variance, covariance)

    def near(self, x_t: Tensor, junction: Junction, **condition) -> Tensor:
        """The linear guess of x_0 with the network's remainder."""
        v0, _, shared = self.moments
        return self._end(self.near_network, v0, junction.a * v0 + junction.b * shared, x_t, junction, condition)

    def far(self, x_t: Tensor, junction: Junction, **condition) -> Tensor:
        """The linear guess of x_1 with the network's remainder."""
        _, v1, shared = self.moments
        return self._end(self.far_network, v1, junction.a * shared + junction.b * v1, x_t, junction, condition)

    def _end(
        self, network: nn.Module, variance: float, shared: Coefficient, x: Tensor, junction: Junction, condition: dict
    ) -> Tensor:
        v0, v1, both = self.moments
        a, b = junction.a, junction.b
        total = a**2 * v0 + b**2 * v1 + 2 * a * b * both + junction.c**2
        own = floating_dtype(network) or x.dtype
        raw = network(scale(1 / sqrt(total), x).to(own), _level(junction, x).to(own), **condition).to(x.dtype)
        skip, out = _guess(variance, shared, total)
        return combine(skip, x, out, raw)


def _level(junction: Junction, x: Tensor) -> Tensor:
    """log(b/a)/4 of each sample, cut where an end is reached."""
    a, b = (constant(one, torch.float64, x.device).clamp_min(1e-4) for one in (junction.a, junction.b))
    return ((b / a).log() / 4).expand(len(x))


def _guess(variance: float, shared: Coefficient, total: Coefficient) -> tuple[Coefficient, Coefficient]:
    """(skip, out) of equation (1); the error is at least 1e-3 of the deviation, where rounding would leave nothing."""
    left = variance - shared**2 / total
    floor = 1e-6 * variance
    return shared / total, sqrt(left.clamp(min=floor) if isinstance(left, Tensor) else max(left, floor))
