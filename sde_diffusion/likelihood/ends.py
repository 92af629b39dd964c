r"""What a flow from t_min to the horizon leaves out of log p(x): the two ends, read off the denoiser itself.

Below t_min. With kappa = sigma/alpha and D = E[x_0 | .] at the level kappa, the heat equation
d log p/d(kappa^2) = (lap log p + |grad log p|^2)/2 gives, to first and to second order in kappa^2,

    log p_0(x) - log p(x) = b(kappa^2) = -(div D - d + |D - x|^2/kappa^2)/2,                                       (1)
                          = 3/2 b(kappa^2) - 1/4 b(2 kappa^2).                                                     (2)

Beyond the horizon. There D = E[x_0 | x_T], whose score is (alpha D - x)/sigma^2. With c = (alpha/sigma)^2, m = D(0) and the
point x_c = alpha m in the middle of p_T,

    log p_T(x) = log p_T(x_c) + integral_0^1 (x - x_c) . score(x_c + s (x - x_c)) ds,                              (3)
    log p_T(x_c) = -d/2 log(2 pi sigma^2) + log det(I - J)/2 - c |D(x_c) - m|^2/2,   J = alpha dD/dx at x_c,       (4)

by Simpson's rule. Both are exact for a Gaussian law; for any other, (4) leaves out terms of the order of tr(J^2), which
is as small as the process is forgetful, c^2 tr(Cov^2).

References:
    Hyvarinen, Estimation of Non-Normalized Statistical Models by Score Matching, 2005,
        https://jmlr.org/papers/v6/hyvarinen05a.html (the bracket of (1) is its objective)
    Efron, Tweedie's Formula and Selection Bias, 2011, https://doi.org/10.1198/jasa.2011.tm11181 (the Jacobian of D is the
        posterior covariance over the noise's variance)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.sde.base import LinearSDE
from solvers.divergence import Divergence
from solvers.divergence.base import inner, products
from solvers.divergence.probes import keys_of, rademacher
from solvers.equations import select_rows
from solvers.random import mix

SMALL, PROBES = 16, 8
"""Events of up to SMALL numbers have their whole Jacobian at the horizon; others are seen by so many probes."""
NEGLIGIBLE = 0.1
"""A first-order correction below this share of the wanted error is not carried to second order."""


@dataclass(frozen=True)
class Correction:
    """What is to be added to a log-density, its standard error, and the calls that it took, each (B,)."""

    value: Tensor
    error: Tensor
    calls: Tensor


@dataclass(frozen=True)
class Ends:
    """The two corrections of a process and a denoiser, for points whose wanted error is `share` nats."""

    sde: LinearSDE
    denoiser: Denoiser
    share: float
    seed: int

    def truncation(self, x: Tensor, numbers: Tensor, divergence: Divergence) -> Correction:
        """log p_0(x) - log p(x) at t_min, (1) or, where it matters, (2), for x (B, *E) in the data's units."""
        first, error = self._below(x, numbers, divergence, 1.0)
        value, remainder, calls = (
            first.clone(),
            first.abs() / 2,
            torch.full_like(first, 1.0 + divergence.cost(x[0].numel())),
        )
        rows = (first.abs() > NEGLIGIBLE * self.share).nonzero()[:, 0]
        if len(rows):
            second, _ = self._below(x[rows], numbers[rows], divergence, 2.0)
            value[rows] = 1.5 * first[rows] - 0.25 * second
            remainder[rows] = (value[rows] - first[rows]).abs() / 2
            calls[rows] *= 2
        return Correction(value, torch.hypot(remainder, error), calls)

    def _below(self, x: Tensor, numbers: Tensor, divergence: Divergence, times: float) -> tuple[Tensor, Tensor]:
        """b at `times` the least kappa^2, and the standard error of its probes, each (B,)."""
        variance = times * math.exp(-float(self.sde.log_snr(self.sde.t_min)))
        kernel, denoiser = Kernel(1.0, math.sqrt(variance)), select_rows(self.denoiser, numbers)
        probes = divergence.probes(x, mix(self.seed, 2), numbers)
        data, spread = divergence.along(lambda y: denoiser(y, kernel), x, probes)
        columns = -0.5 * (spread - x[0].numel() + (_squares(data - x) / variance)[:, None])
        return _mean_and_error(columns)

    def horizon(self, x: Tensor, numbers: Tensor) -> Correction:
        """log p_T(x) itself, by (3) and (4), for x (B, *E) at the horizon; the middle is shared where all rows are alike."""
        kernel, denoiser = self.sde.kernel(self.sde.horizon), select_rows(self.denoiser, numbers)
        alike = denoiser is self.denoiser
        own, keys = slice(1 if alike else len(x)), keys_of(mix(self.seed, 3), 0 * numbers if alike else numbers)
        middle = _Middle.of(kernel, denoiser, x[own], keys[own])
        away = x - middle.x

        def slope(score: Tensor) -> Tensor:
            return (away * score).flatten(1).sum(1)

        half, end = (kernel.score(y, denoiser(y, kernel)) for y in (middle.x + 0.5 * away, x))
        between = (slope(middle.score) + 4 * slope(half) + slope(end)) / 6
        error = torch.hypot(between - slope(half), middle.error.expand_as(between))
        calls = torch.full_like(between, 2 + middle.calls * len(middle.x) / len(x))
        return Correction(middle.log_prob + between, error, calls)


@dataclass(frozen=True)
class _Middle:
    """The points x_c (R, *E) of (4), with the score (R, *E), log p_T and its error (R,) there, and the calls of one."""

    x: Tensor
    score: Tensor
    log_prob: Tensor
    error: Tensor
    calls: int

    @classmethod
    def of(cls, kernel: Kernel, denoiser: Denoiser, like: Tensor, keys: Tensor) -> _Middle:
        size, alpha, sigma = like[0].numel(), float(kernel.alpha), float(kernel.sigma)
        mean = denoiser(torch.zeros_like(like), kernel)
        directions = _directions(like, keys)
        data, pushed = products(lambda y: denoiser(y, kernel), alpha * mean, directions)
        volume, error = _half_log_det(directions, alpha * pushed)
        off = 0.5 * (alpha / sigma) ** 2 * _squares(data - mean)
        normal = size * math.log(sigma * math.sqrt(2 * math.pi))
        score = kernel.score(alpha * mean, data)
        return cls(alpha * mean, score, volume - off - normal, error, 2 + directions.shape[1])


def _directions(x: Tensor, keys: Tensor) -> Tensor:
    """All unit vectors of a small event, signs for a larger one, (B, P, *E)."""
    size = x[0].numel()
    if size > SMALL:
        return rademacher(keys, (PROBES, *x.shape[1:]), x.dtype)
    units = torch.eye(size, dtype=x.dtype, device=x.device).reshape(1, size, *x.shape[1:])
    return units.expand(len(x), -1, *x.shape[1:])


def _half_log_det(directions: Tensor, pushed: Tensor) -> tuple[Tensor, Tensor]:
    """log det(I - J)/2 and its error (B,) from J v (B, P, *E): itself, or by -tr(J + J^2/2)/2."""
    second = inner(pushed, pushed)
    if pushed.shape[1] == pushed[0, 0].numel():
        jacobian = pushed.flatten(2).mT
        whole = torch.linalg.slogdet(torch.eye(jacobian.shape[1]).to(jacobian) - jacobian).logabsdet / 2
        return whole, second.sum(1) / 4
    value, error = _mean_and_error(-0.5 * (inner(directions, pushed) + second / 2))
    return value, torch.hypot(error, second.mean(1) / 4)


def _squares(values: Tensor) -> Tensor:
    return values.flatten(1).square().sum(1)


def _mean_and_error(columns: Tensor) -> tuple[Tensor, Tensor]:
    """Of columns (B, C): the mean and its standard error, 0 of a single one."""
    count, value = columns.shape[1], columns.mean(1)
    return value, columns.std(1) / math.sqrt(count) if count > 1 else torch.zeros_like(value)
