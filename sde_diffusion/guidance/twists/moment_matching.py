r"""Moment matching: x_0 given x_t is taken as Gaussian, with the covariance that the denoiser's derivative gives.

With C = Cov[x_0 | x_t], H the derivative of what is seen at D (A for a linear measurement) and r = y - h(D),

    K = H C H^T + s^2 I,   log p(y | x_t) ~ log N(r; 0, K),   shift = C H^T K^{-1} r.                                (1)

Exact for a Gaussian prior under a linear measurement. C H^T takes one product of the derivative for each number of y, all of
one call of the denoiser; K is symmetrised and its part H C H^T made positive, since a network's is neither.

References:
    Rozet et al., Learning Diffusion Priors from Observations by Expectation Maximization, 2024,
        https://arxiv.org/abs/2405.13712, section 4.2
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.guidance.twists.base import Moments, Twist, Twisted
from sde_diffusion.observations import Measurement


class MomentMatching(Twist):
    """Equation (1), of a `Measurement`."""

    def __init__(self, observation: Measurement) -> None:
        if not isinstance(observation, Measurement):
            raise TypeError(
                f"moment matching takes a function of x_0 with Gaussian noise, got {type(observation).__name__}; take "
                "Scalar for a projection, Point for any law"
            )
        self.observation = observation

    def __call__(self, moments: Moments) -> Twisted:
        """Equation (1)."""
        r = self.observation.residual(moments.mean).double()
        rows = self.observation.derivative(moments.mean)
        carried = moments.covariances(rows)
        inner = torch.einsum("ibd,jbd->bij", rows.flatten(2), carried.flatten(2)).double()
        values, basis = torch.linalg.eigh((inner + inner.mT) / 2)
        log_prob, u = gaussian(values.clamp(min=0) + self.observation.std**2, basis, r)
        return Twisted(log_prob, torch.einsum("bi,ib...->b...", u.to(carried), carried))


def gaussian(variances: Tensor, basis: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """log N(r; 0, K), shape (B,), and K^{-1} r, shape (B, M), for K = basis diag(variances) basis^T."""
    turned = torch.einsum("...ij,...i->...j", basis, r)
    logs = variances.log().sum(-1) + r.shape[-1] * math.log(2 * math.pi)
    log_prob = -((turned.square() / variances).sum(-1) + logs) / 2
    return log_prob, torch.einsum("...ij,...j->...i", basis, turned / variances)
