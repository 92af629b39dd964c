r"""The power-function profile: how an average over a training run weighs its past. No torch.

    p(tau) = (gamma + 1) tau^gamma / t^(gamma + 1),   0 <= tau <= t                                              (1)
    average(t) = integral of p(tau) weights(tau) d tau

As an update of step t, which holds its weights over (t - 1, t], this is exactly

    average(t) = beta average(t - 1) + (1 - beta) weights(t),   beta = (1 - 1/t)^(gamma + 1)                     (2)

so that the random start counts for nothing (beta = 0 at t = 1). The length of the average is the standard deviation of
(1) over t, whatever t is:

    sigma_rel^2 = (gamma + 1) / ((gamma + 2)^2 (gamma + 3))                                                      (3)

The inner product of two profiles, over all tau, with t_a <= t_b:

    <a, b> = (gamma_a + 1) (gamma_b + 1) / (gamma_a + gamma_b + 1) (t_a / t_b)^gamma_b / t_b                     (4)

References:
    Karras, Aittala, Lehtinen, Hellsten, Aila & Laine, Analyzing and Improving the Training Dynamics of Diffusion Models,
        2024, https://arxiv.org/abs/2312.02696 (section 3.1: (1) to (3); appendix C: the solution of (3), (4))
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

LONGEST = 1 / math.sqrt(12)
"""The largest `sigma_rel` on offer, 0.2887: the mean of all weights, gamma = 0."""


def gamma_of(sigma_rel: float) -> float:
    """The exponent of a length, the largest root of (3). Raises ValueError unless 0 < sigma_rel <= `LONGEST`."""
    if not 0 < sigma_rel <= LONGEST:
        raise ValueError(f"sigma_rel lies in (0, 0.28867], got {sigma_rel}; 0.05 and 0.10 are usual")
    inverse = sigma_rel**-2
    roots = np.roots([1.0, 7.0, 16.0 - inverse, 12.0 - inverse])
    return max(float(roots.real.max()), 0.0)


def sigma_rel_of(gamma: float) -> float:
    """Equation (3)."""
    return math.sqrt((gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)))


def kept(gamma: float, before: int) -> float:
    """beta of equation (2), for the update that comes after `before` others: t = before + 1."""
    return (before / (before + 1)) ** (gamma + 1)


def density(gamma: ArrayLike, t: ArrayLike, tau: ArrayLike) -> NDArray[np.float64]:
    """Equation (1) at `tau`, zero outside [0, t]; all three broadcast."""
    gamma, t, tau = (np.asarray(value, dtype=np.float64) for value in (gamma, t, tau))
    inside = (tau >= 0) & (tau <= t)
    return np.where(inside, (gamma + 1) / t * np.where(inside, tau / t, 0.0) ** gamma, 0.0)


def overlap(gamma_a: ArrayLike, t_a: ArrayLike, gamma_b: ArrayLike, t_b: ArrayLike) -> NDArray[np.float64]:
    """Equation (4) for each of (gamma_a, t_a) (N,) with each of (gamma_b, t_b) (M,): (N, M)."""
    gamma_a, t_a = np.asarray(gamma_a, dtype=np.float64)[:, None], np.asarray(t_a, dtype=np.float64)[:, None]
    gamma_b, t_b = np.asarray(gamma_b, dtype=np.float64)[None], np.asarray(t_b, dtype=np.float64)[None]
    later = np.where(t_a <= t_b, gamma_b, gamma_a)
    height = (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1)
    return height * (np.minimum(t_a, t_b) / np.maximum(t_a, t_b)) ** later / np.maximum(t_a, t_b)
