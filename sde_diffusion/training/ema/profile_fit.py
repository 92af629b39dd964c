r"""The profile of an average, fitted by those of averages that were kept.

The profile p of an average that nobody kept is fitted by those of the averages that were kept, p_i (`power_profile`, an
exponent and a time each):

    minimise |p - sum_i c_i p_i|^2   subject to   sum_i c_i = 1                                                   (1)

    [ A  1 ] [ c ]   [ b ]
    [ 1' 0 ] [ m ] = [ 1 ],      A_ij = <p_i, p_j>,   b_i = <p_i, p>                                              (2)

with the inner product over all times, of two profiles with t_a <= t_b,

    <a, b> = (gamma_a + 1) (gamma_b + 1) / (gamma_a + gamma_b + 1) (t_a / t_b)^gamma_b / t_b                      (3)

and the average of the weights is sum_i c_i average_i, since an average is linear in its profile. The paper leaves the sum
free; held at 1 it keeps what all snapshots share (weights that no gradient moves, and the place around which the others
wander) to the last bit, for a residual that is hardly larger: see docs/averages.md.

The residual |p - sum c_i p_i| / |p| is the error of the average, in units of its own standard deviation, for weights that
are white noise around a constant. It falls with the square of the number of evenly spaced snapshots.

References:
    Karras, Aittala, Lehtinen, Hellsten, Aila & Laine, Analyzing and Improving the Training Dynamics of Diffusion Models,
        2024, https://arxiv.org/abs/2312.02696, section 3.2 and appendix C
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def density(gamma: ArrayLike, t: ArrayLike, tau: ArrayLike) -> NDArray[np.float64]:
    """The profile, equation (1) of `power_profile`, at `tau`, zero outside [0, t]; all three broadcast."""
    gamma, t, tau = (np.asarray(value, dtype=np.float64) for value in (gamma, t, tau))
    inside = (tau >= 0) & (tau <= t)
    return np.where(inside, (gamma + 1) / t * np.where(inside, tau / t, 0.0) ** gamma, 0.0)


def overlap(gamma_a: ArrayLike, t_a: ArrayLike, gamma_b: ArrayLike, t_b: ArrayLike) -> NDArray[np.float64]:
    """Equation (3) for each of (gamma_a, t_a) (N,) with each of (gamma_b, t_b) (M,): (N, M)."""
    gamma_a, t_a = np.asarray(gamma_a, dtype=np.float64)[:, None], np.asarray(t_a, dtype=np.float64)[:, None]
    gamma_b, t_b = np.asarray(gamma_b, dtype=np.float64)[None], np.asarray(t_b, dtype=np.float64)[None]
    later = np.where(t_a <= t_b, gamma_b, gamma_a)
    height = (gamma_a + 1) * (gamma_b + 1) / (gamma_a + gamma_b + 1)
    return height * (np.minimum(t_a, t_b) / np.maximum(t_a, t_b)) ** later / np.maximum(t_a, t_b)


def coefficients(times: Sequence[float], gammas: Sequence[float], time: float, gamma: float) -> NDArray[np.float64]:
    """The solution c (N,) of (2): the share of each of the profiles (`times`, `gammas`), in the one of `time`, `gamma`.

    Raises ValueError for no profile, or for times that are not positive.
    """
    t, g = np.asarray(times, dtype=np.float64), np.asarray(gammas, dtype=np.float64)
    if t.ndim != 1 or t.shape != g.shape or len(t) == 0 or not (min(t.min(), time) > 0):
        raise ValueError(
            f"a fit takes one time above 0 and one gamma a profile, got {t.shape} and {g.shape}; give both"
        )
    a, b = overlap(g, t, g, t), overlap(g, t, [gamma], [time])[:, 0]
    size = np.sqrt(np.diag(a))  # profiles of unit norm, for the last digits of the solution
    system = np.zeros((len(t) + 1, len(t) + 1))
    system[:-1, :-1] = a / np.outer(size, size)
    system[-1, :-1] = system[:-1, -1] = size.min() / size
    wanted = np.append(b / size, size.min())
    return np.linalg.lstsq(system, wanted, rcond=None)[0][:-1] / size


def residual(
    times: Sequence[float], gammas: Sequence[float], time: float, gamma: float, shares: NDArray[np.float64]
) -> float:
    """|p - sum c_i p_i| / |p|, of which a float64 resolves 1e-8."""
    norm = overlap([gamma], [time], [gamma], [time])[0, 0]
    crossed = shares @ overlap(gammas, times, [gamma], [time])[:, 0]
    own = shares @ overlap(gammas, times, gammas, times) @ shares
    return float(np.sqrt(max(norm - 2 * crossed + own, 0.0) / norm))
