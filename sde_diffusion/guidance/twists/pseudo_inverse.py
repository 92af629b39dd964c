r"""Pseudo-inverse guidance with the noise of the observation, and the proximal step: x_0 given x_t of one variance.

With kappa = sigma/alpha and x_0 given x_t taken as N(D, r^2 I), r^2 = kappa^2 v/(kappa^2 + v), v the variance of the data,

    K = r^2 A A^T + s^2 I,   log p(y | x_t) ~ log N(y - A D; 0, K),                                                (1)
    PseudoInverse   shift = C A^T K^{-1} (y - A D), the gradient of (1), C = Cov[x_0 | x_t] by the derivative;      (2)
    Proximal        shift = r^2 A^T K^{-1} (y - A D), the minimum of |y - A x|^2/s^2 + |x - D|^2/r^2.               (3)

Both are exact for the prior N(m, v I). A A^T is diagonalised once. (2) takes one product of the derivative, (3) none.

References:
    Song et al., Pseudoinverse-Guided Diffusion Models for Inverse Problems, 2023, https://openreview.net/forum?id=9_gsMA8MRKQ
    Zhu et al., Denoising Diffusion Models for Plug-and-Play Image Restoration, 2023, https://arxiv.org/abs/2305.08995,
        equation 13
"""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.guidance.twists.base import Moments, Twist, Twisted
from sde_diffusion.guidance.twists.moment_matching import gaussian
from sde_diffusion.kernel import Kernel
from sde_diffusion.observations import LinearMeasurement


class _OneVariance(Twist):
    """Equation (1)."""

    def __init__(self, observation: LinearMeasurement, data_std: float = 1.0) -> None:
        if not isinstance(observation, LinearMeasurement):
            raise TypeError(
                f"{type(self).__name__} takes a linear measurement, got {type(observation).__name__}; take MomentMatching "
                "for a function, Point for any law"
            )
        if not data_std > 0:
            raise ValueError(f"data_std is the standard deviation of the data, above 0, got {data_std:g}; take 1")
        self.observation, self.data_std = observation, float(data_std)
        self._values, self._basis = torch.linalg.eigh(observation.gram().double())

    def _solved(self, moments: Moments) -> tuple[Tensor, Tensor, Tensor]:
        """log p(y | x_t), K^{-1} (y - A D) of y's shape, and r^2 of shape () or (B,)."""
        r = self.observation.residual(moments.mean).double()
        spread = self._variance(moments.kernel).to(r)
        variances = spread.unsqueeze(-1) * self._values.to(r).clamp(min=0) + self.observation.std**2
        log_prob, u = gaussian(variances, self._basis.to(r), r)
        return log_prob, u.to(moments.mean).reshape(len(u), *self.observation.y.shape), spread

    def _variance(self, kernel: Kernel) -> Tensor:
        """r^2 of equation (1)."""
        v = self.data_std**2
        alpha, sigma = (torch.as_tensor(level, dtype=torch.float64) for level in (kernel.alpha, kernel.sigma))
        return sigma**2 * v / (sigma**2 + alpha**2 * v)


class PseudoInverse(_OneVariance):
    """Equations (1) and (2). Raises TypeError for another than a linear measurement."""

    def __call__(self, moments: Moments) -> Twisted:
        """The estimate."""
        log_prob, u, _ = self._solved(moments)
        return Twisted(log_prob, moments.covariance(self.observation.pull(moments.mean, u)))


class Proximal(_OneVariance):
    """Equations (1) and (3): it needs no derivative. Raises TypeError for another than a linear measurement."""

    differentiable = False

    def __call__(self, moments: Moments) -> Twisted:
        """The estimate."""
        log_prob, u, spread = self._solved(moments)
        back = self.observation.pull(moments.mean, u)
        return Twisted(log_prob, back * spread.to(back).reshape(-1, *(1,) * (back.ndim - 1)))
