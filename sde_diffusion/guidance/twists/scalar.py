r"""An observation of one projection z = <a, x_0>, of any law: z given x_t is taken as Gaussian and integrated over.

    z | x_t ~ N(m, v),  m = <a, D>,  v = <a, C a>,   log p(y | x_t) ~ log int p(y | z) N(z; m, v) dz,                (1)
    shift = C a d/dm log p(y | x_t) = C a (E[z | x_t, y] - m)/v.                                                    (2)

Exact for a Gaussian prior, whatever p(y | z) is, to the accuracy of a sum over NODES nodes in m -+ WIDTH sqrt(v).

References:
    Rozet et al., Learning Diffusion Priors from Observations by Expectation Maximization, 2024,
        https://arxiv.org/abs/2405.13712, section 4.2 (the Gaussian x_0 given x_t)
"""

from __future__ import annotations

import math

import torch

from sde_diffusion.guidance.twists.base import Moments, Twist, Twisted
from sde_diffusion.observations import Projection
from solvers.elementwise import scale

NODES, WIDTH = 1001, 8.0


class Scalar(Twist):
    """Equations (1) and (2), of a `Projection`; one product of the derivative."""

    def __init__(self, observation: Projection) -> None:
        if not isinstance(observation, Projection):
            raise TypeError(
                f"Scalar takes an observation of a projection, got {type(observation).__name__}; take MomentMatching"
            )
        self.observation = observation

    def __call__(self, moments: Moments) -> Twisted:
        """The estimate."""
        a = self.observation.direction.to(moments.mean)
        carried = moments.covariance(a.expand_as(moments.mean))
        m = self.observation.project(moments.mean).double()
        deviation = (carried.flatten(1) @ a.flatten()).double().clamp(min=1e-30).sqrt()
        unit = torch.linspace(-WIDTH, WIDTH, NODES, dtype=m.dtype, device=m.device)
        log_mass = math.log(2 * WIDTH / (NODES - 1) / math.sqrt(2 * math.pi)) - unit.square() / 2
        logs = log_mass + self.observation.log_likelihood(m.unsqueeze(1) + deviation.unsqueeze(1) * unit)
        slope = (logs.softmax(1) @ unit) / deviation
        return Twisted(logs.logsumexp(1), scale(slope, carried))
