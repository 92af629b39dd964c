r"""The power-function profile: how an average over a training run weighs its past. Plain numbers, no torch.

    p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1),   0 <= tau <= t                                              (1)
    average(t) = integral of p(tau) weights(tau) d tau

As an update of step t, which holds its weights over (t - 1, t], this is exactly

    average(t) = beta average(t - 1) + (1 - beta) weights(t),   beta = (1 - 1/t)^(gamma + 1)                     (2)

so that the random start counts for nothing (beta = 0 at t = 1). The length of the average is the standard deviation of
(1) over t, whatever t is:

    sigma_rel^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))                                                      (3)

References:
    Karras, Aittala, Lehtinen, Hellsten, Aila & Laine, Analyzing and Improving the Training Dynamics of Diffusion Models,
        2024, https://arxiv.org/abs/2312.02696 (section 3.1)
"""

from __future__ import annotations

import math

LONGEST = 1 / math.sqrt(12)
"""The largest `sigma_rel` on offer, 0.2887: the mean of all weights, gamma = 0."""


def gamma_of(sigma_rel: float) -> float:
    """The exponent of a length, the largest root of (3). Raises ValueError unless 0 < sigma_rel <= `LONGEST`."""
    if not 0 < sigma_rel <= LONGEST:
        raise ValueError(f"sigma_rel lies in (0, 0.28867], got {sigma_rel}; 0.05 and 0.10 are usual")
    gamma, square = 1 / sigma_rel, sigma_rel**2
    # Newton from above the root, where (gamma + 1) - sigma_rel^2 (gamma + 2)^2 (gamma + 3) falls and is concave
    for _ in range(60):
        slope = 1 - square * (gamma + 2) * (3 * gamma + 8)
        gamma -= (gamma + 1 - square * (gamma + 2) ** 2 * (gamma + 3)) / slope
    return max(gamma, 0.0)


def sigma_rel_of(gamma: float) -> float:
    """Equation (3)."""
    return math.sqrt((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)))


def decay(gamma: float, before: int) -> float:
    """beta of equation (2), for the update that comes after `before` others: t = before + 1."""
    return (before / (before + 1)) ** (gamma + 1)
