r"""The Gaussian law: the one distribution for which a diffusion model is solved completely.

With C = U diag(v) U^T and V_t = alpha_t^2 v + sigma_t^2, in the eigen-coordinates z_t = U^T (x_t - alpha_t m):

    through     x_t ~ N(alpha m, U diag(V_t) U^T)                                                                  (1)
    denoise     E[x_0 | x_t] = m + U diag(alpha v / V_t) z_t                                                       (2)
    flow        z_s = sqrt(V_s / V_t) z_t                                                                          (3)

(3) is the end point of the probability-flow ODE x' = f x - g^2/2 grad log p_t(x): there z' = (f + g^2 / (2 V)) z, and
the moment equation V' = 2 f V + g^2 makes the bracket V' / (2 V).

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, equation (13)
"""

from __future__ import annotations

import math
from typing import Any, Self

import torch
from torch import Tensor

from sde_diffusion.exact.law import Law, draws, one_level, real
from sde_diffusion.exact.spectrum import eigen, gain, require_density
from sde_diffusion.kernel import Kernel
from solvers.elementwise import Coefficient


class Gaussian(Law):
    """N(mean, covariance): mean of shape *E, covariance (d, d) over the flattened sample, possibly singular.

    Raises ValueError for a covariance that is not (d, d), symmetric and positive semi-definite.
    """

    def __init__(self, mean: Any, covariance: Any) -> None:
        centre, matrix = real(mean), real(covariance)
        d = centre.numel()
        if matrix.shape != (d, d):
            raise ValueError(
                f"expected a covariance of shape ({d}, {d}) for a mean of shape {tuple(centre.shape)}, "
                f"got {tuple(matrix.shape)}; see Gaussian.isotropic and Gaussian.diagonal for cheaper ones"
            )
        self._define(centre, *eigen(matrix.to(centre.device)))

    @classmethod
    def diagonal(cls, mean: Any, variance: Any) -> Self:
        """Independent coordinates: a mean of shape *E, variances >= 0 that broadcast to *E; no matrix is formed."""
        centre = real(mean)
        variances = _spread(real(variance).to(centre.device), centre.shape, "variance")
        if not bool((variances >= 0).all()):
            raise ValueError(f"expected variances >= 0, got {variances.min():.3g}; give squared deviations")
        law = cls.__new__(cls)
        law._define(centre, variances.reshape(-1), None)
        return law

    @classmethod
    def isotropic(cls, mean: Any, std: float, event_shape: tuple[int, ...]) -> Self:
        """N(mean, std^2 I) over samples of shape `event_shape`, to which the mean (a number, a tensor) broadcasts."""
        if not std >= 0:
            raise ValueError(f"expected a standard deviation >= 0, got {std}; give its absolute value")
        return cls.diagonal(_spread(real(mean), event_shape, "mean"), std**2)

    def _define(self, centre: Tensor, spectrum: Tensor, basis: Tensor | None) -> None:
        """centre (d,), eigenvalues (d,) and eigenvectors (d, d) or None for the identity."""
        self.event_shape = centre.shape
        self.centre, self.spectrum, self.basis = centre.reshape(-1), spectrum, basis

    @property
    def mean(self) -> Tensor:
        """m, shape *E."""
        return self.centre.reshape(self.event_shape)

    @property
    def variance(self) -> Tensor:
        """The diagonal of C, shape *E."""
        diagonal = self.spectrum if self.basis is None else self.basis.square() @ self.spectrum
        return diagonal.reshape(self.event_shape)

    @property
    def covariance(self) -> Tensor:
        """C, shape (d, d)."""
        return self.spectrum.diag() if self.basis is None else (self.basis * self.spectrum) @ self.basis.mT

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """m + U sqrt(v) eps, shape (n, *E)."""
        shape = (draws(n), self.event_shape.numel())
        noise = torch.randn(shape, generator=generator, dtype=self.dtype, device=self.device)
        return (self.centre + self._from_eigen(self.spectrum.sqrt() * noise)).reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """log N(x; m, C), shape (B,); ValueError when C is singular."""
        require_density(self.spectrum)
        z = self._to_eigen(self._rows(x) - self.centre)
        logs = self.spectrum.log().sum() + len(self.centre) * math.log(2 * math.pi)
        return -((z.square() / self.spectrum).sum(-1) + logs) / 2

    def score(self, x: Tensor) -> Tensor:
        """-C^{-1} (x - m), shape (B, *E); ValueError when C is singular."""
        require_density(self.spectrum)
        z = self._to_eigen(self._rows(x) - self.centre)
        return self._from_eigen(-z / self.spectrum).reshape(x.shape).to(x.dtype)

    def through(self, kernel: Kernel) -> Gaussian:
        """Equation (1)."""
        alpha, sigma = one_level(kernel)
        return self.with_tensors({"centre": alpha * self.centre, "spectrum": alpha**2 * self.spectrum + sigma**2})

    def denoise(self, x_t: Tensor, kernel: Kernel) -> Tensor:
        """Equation (2), shape (B, *E)."""
        rows = self._rows(x_t)
        alpha, variances = self._level(kernel, rows)
        z = self._to_eigen(rows - alpha * self.centre)
        x0 = self.centre + self._from_eigen(gain(alpha, self.spectrum, variances) * z)
        return x0.reshape(x_t.shape).to(x_t.dtype)

    def flow(self, x_t: Tensor, kernel_t: Kernel, kernel_s: Kernel) -> Tensor:
        """Equation (3): where the probability-flow ODE carries x_t from the level of t to that of s, shape (B, *E)."""
        rows = self._rows(x_t)
        (alpha_t, variances_t), (alpha_s, variances_s) = self._level(kernel_t, rows), self._level(kernel_s, rows)
        z = self._to_eigen(rows - alpha_t * self.centre)
        x_s = alpha_s * self.centre + self._from_eigen((variances_s / variances_t).sqrt() * z)
        return x_s.reshape(x_t.shape).to(x_t.dtype)

    def _level(self, kernel: Kernel, rows: Tensor) -> tuple[Coefficient, Tensor]:
        """alpha spread over rows, and V = alpha^2 v + sigma^2 of shape (d,) or (B, d)."""
        alpha, sigma = kernel.over(rows)
        return alpha, alpha**2 * self.spectrum + sigma**2

    def _to_eigen(self, rows: Tensor) -> Tensor:
        return rows if self.basis is None else rows @ self.basis

    def _from_eigen(self, rows: Tensor) -> Tensor:
        return rows if self.basis is None else rows @ self.basis.mT


def _spread(values: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """values broadcast to the event shape and copied."""
    try:
        return values.expand(shape).clone()
    except RuntimeError as error:
        raise ValueError(
            f"expected a {name} that broadcasts to the event shape {tuple(shape)}, got shape {tuple(values.shape)}; "
            "give a number or one for each coordinate"
        ) from error
