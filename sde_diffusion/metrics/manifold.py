r"""Precision, recall, density and coverage: fidelity and diversity of samples by nearest neighbours.

A set of points X spans the balls B_k(X_i) around each of them that reach to its k-th nearest neighbour in X. With real
real examples X_1 .. X_N and samples Y_1 .. Y_M:

    precision   the share of samples in at least one ball of the real examples                                           (1)
    recall      the share of real examples in at least one ball of the samples                                    (2)
    density     1/(k M) sum_j #{i: Y_j in B_k(X_i)}: how many real balls hold a sample, over k                  (3)
    coverage    the share of real examples whose own ball holds at least one sample                               (4)

One real outlier, whose ball is large, makes (1) large; (3) counts its ball as one of many. (2) grows with outlying samples,
whose balls are large; (4) has balls of real examples only. For equal continuous distributions density has mean 1 and coverage has mean
1 - prod_{i=1}^{k} (N - i)/(M + N - i), for every distribution and dimension.

References:
    Kynkaanniemi et al., Improved Precision and Recall Metric for Assessing Generative Models, 2019,
        https://arxiv.org/abs/1904.06991, equations (1) and (2); k = 3
    Naeem et al., Reliable Fidelity and Diversity Metrics for Generative Models, 2020,
        https://arxiv.org/abs/2002.09797, equations (5) and (6), and the means in section 3.3; k = 5
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from sde_diffusion.metrics.estimate import Estimate, from_error, from_share
from sde_diffusion.metrics.features import feature_pair
from sde_diffusion.metrics.half_samples import Measured, half_sampled


def precision_recall(x: Tensor, truth: Tensor, k: int = 3, chunk: int = 1024) -> tuple[float, float]:
    """(1) and (2) of samples x (M, D) and real examples truth (N, D); each more than k rows; memory O(chunk max(N, M))."""
    x, truth = _prepared(x, truth, k)
    precision = _held(x, truth, radii(truth, k, chunk), chunk) > 0
    recall = _held(truth, x, radii(x, k, chunk), chunk) > 0
    return float(precision.double().mean()), float(recall.double().mean())


def density_coverage(x: Tensor, truth: Tensor, k: int = 5, chunk: int = 1024) -> tuple[float, float]:
    """(3) and (4) of samples x (M, D) and real examples truth (N, D), the latter more than k; memory O(chunk max(N, M))."""
    x, truth = _prepared(x, truth, k)
    reach = radii(truth, k, chunk)
    nearest = torch.cat([torch.cdist(rows, x).min(dim=1).values for rows in truth.split(chunk)])
    density = _held(x, truth, reach, chunk).double().mean() / k
    return float(density), float((nearest <= reach).double().mean())


def radii(x: Tensor, k: int, chunk: int = 1024) -> Tensor:
    """The distance of each row of x (N, D) to its k-th nearest other row, (N,)."""
    found = []
    for begin, rows in zip(range(0, len(x), chunk), x.split(chunk), strict=True):
        distances = torch.cdist(rows, x)
        distances[:, begin : begin + len(rows)].fill_diagonal_(torch.inf)
        found.append(distances.kthvalue(k, dim=1).values)
    return torch.cat(found)


def _held(points: Tensor, centres: Tensor, reach: Tensor, chunk: int) -> Tensor:
    """How many of the balls around the centres (N, D) hold each point (M, D): int64 (M,)."""
    return torch.cat([(torch.cdist(rows, centres) <= reach).sum(dim=1) for rows in points.split(chunk)])


def _prepared(x: Tensor, truth: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Both checked and centred, which leaves the distances and spares their digits."""
    if k < 1:
        raise ValueError(f"a ball reaches to the k-th neighbour, k at least 1, got {k}; 3 and 5 are usual")
    x, truth = feature_pair(x, truth, least=k + 1)
    centre = truth.mean(dim=0)
    return x - centre, truth - centre


def estimate_manifold(
    x: Tensor,
    truth: Tensor,
    *,
    sets: int = 1,
    resamples: int = 100,
    level: float = 0.95,
    seed: int = 0,
    chunk: int = 1024,
) -> dict[str, Estimate]:
    """precision, recall, density and coverage by name, with intervals from random halves of both sets.

    x (N, D) is held against truth (M, D) in `sets` equal parts, of at least 12 rows as truth is: their halves hold more
    than k. The shares have Wilson's interval for as many independent examples as have their standard error, and no more
    than there are, so that a share of 0 or 1 is not taken for certain.
    """
    if min(len(x) // sets, len(truth)) < 12:
        raise ValueError(f"halves must hold over 5 neighbours, got {len(x)} and {len(truth)} rows; give 12 of each set")

    def measured(x: Tensor, truth: Tensor) -> tuple[float, ...]:
        return *precision_recall(x, truth, chunk=chunk), *density_coverage(x, truth, chunk=chunk)

    found = half_sampled(measured, x, truth, sets=sets, resamples=resamples, seed=seed)
    precision, recall, density, coverage = found
    n, options = len(x) // sets, {"seed": seed, "level": level}
    balls = from_error(density.value, density.error, n, **options)
    return {
        "precision": _share(precision, len(x), n, **options),
        "recall": _share(recall, len(truth), n, **options),
        "density": replace(balls, low=max(balls.low, 0.0)),
        "coverage": _share(coverage, len(truth), n, **options),
    }


def _share(found: Measured, count: int, n: int, seed: int, level: float) -> Estimate:
    """The share among `count` dependent examples: worth as many independent ones as have its standard error."""
    worth = found.value * (1 - found.value) / found.error**2 if found.error > 0 else math.inf
    return from_share(found.value, min(count, worth) or count, n, seed, level)
