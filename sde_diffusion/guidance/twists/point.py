r"""Diffusion posterior sampling: x_0 given x_t is taken as its mean, each sample by itself.

    log p(y | x_t) ~ scale log p(y | D),   shift = scale C grad log p(y | D),   C = Cov[x_0 | x_t].                 (1)

It holds for any law of y. The paper divides the gradient of a squared residual by the norm of the residual; its code, and
others', took that norm over the batch, so that a sample depended on its neighbours. Here no norm is divided by: (1) is a
field of x_t alone, the gradient of its own log p(y | x_t).

References:
    Chung et al., Diffusion Posterior Sampling for General Noisy Inverse Problems, 2022, https://arxiv.org/abs/2209.14687,
        equation 11 and algorithm 1
"""

from __future__ import annotations

import torch

from sde_diffusion.guidance.twists.base import Moments, Twist, Twisted
from sde_diffusion.observations import Observation


class Point(Twist):
    """Equation (1) for any observation; `scale` > 0 tempers it."""

    def __init__(self, observation: Observation, scale: float = 1.0) -> None:
        if not scale > 0:
            raise ValueError(f"scale is a positive number, got {scale:g}; 1 is the likelihood at the mean")
        self.observation, self.scale = observation, float(scale)

    def __call__(self, moments: Moments) -> Twisted:
        """The estimate."""
        with torch.enable_grad():
            at = moments.mean.detach().requires_grad_()
            log_prob = self.scale * self.observation.log_prob(at)
            gradient = torch.autograd.grad(log_prob.sum(), at)[0]
        return Twisted(log_prob.detach().double(), moments.covariance(gradient))
