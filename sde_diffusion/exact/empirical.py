r"""The law of a data set: what a diffusion model would sample if it memorised its training set.

A uniform choice among N points has no density; behind any noise it is a mixture of N equal isotropic Gaussians, with

    E[x_0 | x_t] = sum_i r_i x_i,   r = softmax(-|x_t - alpha x_i|^2 / (2 sigma^2)).                               (1)

The numerics of (1), from kappa = sigma/alpha = 0 (the nearest point) to alpha = 0 (the mean), are in `softmin`.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix B.3, equation (57)
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.exact import softmin
from sde_diffusion.exact.law import Law, draws, one_level, real
from sde_diffusion.kernel import Kernel
from solvers.elementary import log, sqrt
from solvers.elementwise import combine


class Empirical(Law):
    """The uniform law over data of shape (N, *E); ValueError when it is empty or not finite."""

    def __init__(self, data: Any) -> None:
        values = real(data)
        if values.ndim < 1 or not values.numel():
            raise ValueError(f"expected data of shape (N, *E), got {tuple(values.shape)}; give at least one event")
        self.event_shape, self.points = values.shape[1:], values.reshape(len(values), -1)

    @property
    def mean(self) -> Tensor:
        """The mean of the data, shape *E."""
        return self.points.mean(0).reshape(self.event_shape)

    @property
    def variance(self) -> Tensor:
        """The variance (division by N), shape *E."""
        return self.points.var(0, correction=0).reshape(self.event_shape)

    @property
    def covariance(self) -> Tensor:
        """The covariance of the uniform law (division by N), shape (d, d)."""
        return _covariance(self.points)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n data points drawn with replacement, shape (n, *E)."""
        return self.points[_choose(self.points, n, generator)].reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Always a ValueError: points have no density."""
        raise ValueError(f"a set of {len(self.points)} points has no density; take law.through(kernel) first")

    def score(self, x: Tensor) -> Tensor:
        """Always a ValueError: points have no density."""
        return self.log_prob(x)

    def through(self, kernel: Kernel) -> SmoothedEmpirical:
        """The mixture of the N(alpha x_i, sigma^2 I)."""
        return SmoothedEmpirical(self, kernel)

    def denoise(self, x_t: Tensor, kernel: Kernel) -> Tensor:
        """Equation (1), shape (B, *E); the nearest point at sigma = 0, the mean at alpha = 0."""
        x0 = softmin.posterior_mean(*softmin.chart(kernel, self._rows(x_t)), self.points)
        return x0.reshape(x_t.shape).to(x_t.dtype)

    def nearest(self, x: Tensor) -> Tensor:
        """The index of the data point nearest to each x, shape (B,)."""
        return softmin.nearest(self._rows(x), self.points)


class SmoothedEmpirical(Law):
    """The law of y = a x_i + s eps: an `Empirical` law behind one kernel (a, s) with s > 0."""

    def __init__(self, law: Empirical, kernel: Kernel) -> None:
        self.event_shape, self.points = law.event_shape, law.points
        self.kernel = Kernel(*one_level(kernel))
        if not bool(self.kernel.sigma > 0):
            raise ValueError(f"expected sigma > 0, got {self.kernel.sigma}; points have no density without noise")

    @property
    def mean(self) -> Tensor:
        """a times the mean of the data, shape *E."""
        return self.kernel.alpha * self.points.mean(0).reshape(self.event_shape)

    @property
    def variance(self) -> Tensor:
        """a^2 times the variance of the data, plus s^2, shape *E."""
        spread = self.points.var(0, correction=0).reshape(self.event_shape)
        return self.kernel.alpha**2 * spread + self.kernel.sigma**2

    @property
    def covariance(self) -> Tensor:
        """a^2 times the covariance of the data, plus s^2 I, shape (d, d)."""
        noise = torch.eye(self.points.shape[1], dtype=self.dtype, device=self.device)
        return self.kernel.alpha**2 * _covariance(self.points) + self.kernel.sigma**2 * noise

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """a x_i + s eps with i uniform, shape (n, *E)."""
        x0 = self.points[_choose(self.points, n, generator)]
        noise = torch.randn(x0.shape, generator=generator, dtype=self.dtype, device=self.device)
        return self.kernel.perturb(x0, noise).reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log mean_i N(x; a x_i, s^2 I), shape (B,)."""
        y, kappa = softmin.chart(self.kernel, self._rows(x))
        return softmin.log_mean(y, kappa, self.points) - self.points.shape[1] * (
            log(self.kernel.sigma) + math.log(2 * math.pi) / 2
        )

    def score(self, x: Tensor) -> Tensor:
        """(a E[x_i | y = x] - x) / s^2, shape (B, *E)."""
        rows = self._rows(x)
        return self.kernel.score(rows, self._data(rows, self.kernel)).reshape(x.shape).to(x.dtype)

    def through(self, kernel: Kernel) -> SmoothedEmpirical:
        """The mixture of the N(alpha a x_i, (alpha^2 s^2 + sigma^2) I)."""
        law = self.with_tensors({})
        law.kernel = self._then(Kernel(*one_level(kernel)))
        return law

    def denoise(self, x_t: Tensor, kernel: Kernel) -> Tensor:
        """E[y | x_t] = a x_hat + (alpha s^2 / (alpha^2 s^2 + sigma^2)) (x_t - alpha a x_hat), shape (B, *E)."""
        rows, whole = self._rows(x_t), self._then(kernel)
        x0 = self._data(rows, whole)
        y = combine(self.kernel.alpha, x0, kernel.alpha * (self.kernel.sigma / whole.sigma) ** 2, rows - whole.mean(x0))
        return y.reshape(x_t.shape).to(x_t.dtype)

    def _then(self, kernel: Kernel) -> Kernel:
        """The channel from x_i to alpha y + sigma eps."""
        a, s = self.kernel.alpha, self.kernel.sigma
        return Kernel(kernel.alpha * a, sqrt((kernel.alpha * s) ** 2 + kernel.sigma**2))

    def _data(self, rows: Tensor, kernel: Kernel) -> Tensor:
        """E[x_i | rows] behind the kernel, shape (B, d)."""
        return softmin.posterior_mean(*softmin.chart(kernel, rows), self.points)


def _choose(points: Tensor, n: int, generator: torch.Generator | None) -> Tensor:
    return torch.randint(len(points), (draws(n),), generator=generator, device=points.device)


def _covariance(points: Tensor) -> Tensor:
    offsets = points - points.mean(0)
    return offsets.mT @ offsets / len(points)
