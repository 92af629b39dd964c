r"""Mixtures of Gaussians: exact scores with as many modes as one likes.

With weights w_k, means m_k, C_k = U_k diag(v_k) U_k^T, V_k = alpha^2 v_k + sigma^2 and z_k = U_k^T (x_t - alpha m_k):

    log joint   l_k = log w_k - (z_k^T diag(1/V_k) z_k + sum log V_k + d log 2 pi) / 2                             (1)
    modes       r_k = softmax(l)_k = P(mode k | x_t),   log p(x_t) = logsumexp(l)                                  (2)
    score       -sum_k r_k U_k diag(1/V_k) z_k                                                                     (3)
    denoise     sum_k r_k (m_k + U_k diag(alpha v_k / V_k) z_k)                                                    (4)

Residuals are formed before they are rotated, so that z_k is accurate relative to itself near a mean. Cost: O(B K d^2)
for full covariances (two matrix products), O(B K d) for isotropic ones, a block of rows at a time.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.exact.blocks import in_blocks
from sde_diffusion.exact.law import Law, draws, one_level, real
from sde_diffusion.exact.spectrum import eigen, gain, require_density
from sde_diffusion.kernel import Kernel
from solvers.elementwise import Coefficient

WEIGHT_TOLERANCE = 1e-6
"""How far the weights may sum from 1 before they are refused; within it they are normalised."""


class Mixture(Law):
    """sum_k w_k N(m_k, C_k): weights (K,), means (K, *E), covariances (), (K,) (variances v_k I) or (K, d, d).

    Raises ValueError for weights that are negative or do not sum to 1, and for shapes or covariances that do not fit.
    """

    def __init__(self, weights: Any, means: Any, covariances: Any) -> None:
        centres = real(means)
        masses, matrices = real(weights).to(centres.device), real(covariances).to(centres.device)
        _check(masses, centres, matrices)
        self.event_shape = centres.shape[1:]
        self.log_weights = (masses / masses.sum()).log()
        self.centres = centres.flatten(1) if centres.ndim > 1 else centres.unsqueeze(1)
        if matrices.ndim == 3:
            self.spectrum, self.basis = eigen(matrices)
        else:
            self.spectrum, self.basis = matrices.reshape(-1, 1).expand(self.centres.shape).clone(), None

    @property
    def weights(self) -> Tensor:
        """w, shape (K,)."""
        return self.log_weights.exp()

    @property
    def mean(self) -> Tensor:
        """sum_k w_k m_k, shape *E."""
        return (self.weights @ self.centres).reshape(self.event_shape)

    @property
    def variance(self) -> Tensor:
        """The diagonal of the covariance, shape *E."""
        return self.covariance.diagonal().reshape(self.event_shape)

    @property
    def covariance(self) -> Tensor:
        """sum_k w_k (C_k + (m_k - m)(m_k - m)^T), shape (d, d)."""
        offsets = self.centres - self.mean.reshape(-1)
        between = (self.weights.unsqueeze(-1) * offsets).mT @ offsets
        scaled = self.weights.unsqueeze(-1) * self.spectrum
        if self.basis is None:
            return between + scaled.sum(0).diag()
        return between + torch.einsum("kij,kj,klj->il", self.basis, scaled, self.basis)

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """A mode, then a draw of that mode, shape (n, *E)."""
        modes = torch.multinomial(self.weights, draws(n), replacement=True, generator=generator)
        deviations = self.spectrum[modes].sqrt()
        steps = deviations * torch.randn(deviations.shape, generator=generator, dtype=self.dtype, device=self.device)
        for k, basis in enumerate(() if self.basis is None else self.basis):
            steps[modes == k] = steps[modes == k] @ basis.mT
        return (self.centres[modes] + steps).reshape(n, *self.event_shape)

    def log_prob(self, x: Tensor) -> Tensor:
        """Equation (2), shape (B,); ValueError when a covariance is singular."""
        return self._log_joint(x).logsumexp(-1)

    def responsibilities(self, x: Tensor) -> Tensor:
        """P(mode k | x), shape (B, K), equation (2); for a noisy x_t use `through(kernel)`."""
        return self._log_joint(x).softmax(-1)

    def log_responsibilities(self, x: Tensor) -> Tensor:
        """log P(mode k | x), shape (B, K), accurate where the shares are far below the dtype's smallest difference to 1."""
        return self._log_joint(x).log_softmax(-1)

    def classify(self, x: Tensor) -> Tensor:
        """The most probable mode, shape (B,), integers in 0 .. K-1."""
        return self._log_joint(x).argmax(-1)

    def score(self, x: Tensor) -> Tensor:
        """Equation (3), shape (B, *E); ValueError when a covariance is singular."""
        require_density(self.spectrum)
        return in_blocks(self._scores, self.centres.numel(), self._rows(x)).reshape(x.shape).to(x.dtype)

    def through(self, kernel: Kernel) -> Mixture:
        """The mixture of the N(alpha m_k, alpha^2 C_k + sigma^2 I)."""
        alpha, sigma = one_level(kernel)
        return self.with_tensors({"centres": alpha * self.centres, "spectrum": alpha**2 * self.spectrum + sigma**2})

    def denoise(self, x_t: Tensor, kernel: Kernel) -> Tensor:
        """Equation (4), shape (B, *E)."""
        rows = self._rows(x_t)
        x0 = in_blocks(self._means, self.centres.numel(), rows, *kernel.over(rows.unsqueeze(1)))
        return x0.reshape(x_t.shape).to(x_t.dtype)

    def _log_joint(self, x: Tensor) -> Tensor:
        """Equation (1) without noise, shape (B, K)."""
        require_density(self.spectrum)
        return in_blocks(self._joints, self.centres.numel(), self._rows(x))

    def _joints(self, rows: Tensor) -> Tensor:
        return self._joint(self._residuals(rows, 1.0), self.spectrum)

    def _scores(self, rows: Tensor) -> Tensor:
        z = self._residuals(rows, 1.0)
        modes = self._joint(z, self.spectrum).softmax(-1)
        return self._from_eigen(-modes.unsqueeze(-1) * (z / self.spectrum))

    def _means(self, rows: Tensor, alpha: Coefficient, sigma: Coefficient) -> Tensor:
        variances = alpha**2 * self.spectrum + sigma**2
        z = self._residuals(rows, alpha)
        modes = self._joint(z, variances).softmax(-1)
        steps = modes.unsqueeze(-1) * (gain(alpha, self.spectrum, variances) * z)
        return modes @ self.centres + self._from_eigen(steps)

    def _residuals(self, rows: Tensor, alpha: Coefficient) -> Tensor:
        """z_k = U_k^T (x - alpha m_k), shape (B, K, d)."""
        offsets = rows.unsqueeze(1) - alpha * self.centres
        return offsets if self.basis is None else torch.einsum("bki,kij->bkj", offsets, self.basis)

    def _joint(self, z: Tensor, variances: Tensor) -> Tensor:
        """Equation (1), shape (B, K), for z (B, K, d) and V (K, d) or (B, K, d)."""
        logs = variances.log().sum(-1) + z.shape[-1] * math.log(2 * math.pi)
        return self.log_weights - ((z.square() / variances).sum(-1) + logs) / 2

    def _from_eigen(self, steps: Tensor) -> Tensor:
        """sum_k U_k c_k, shape (B, d), for c (B, K, d)."""
        return steps.sum(1) if self.basis is None else steps.flatten(1) @ self.basis.mT.flatten(0, 1)


def _check(weights: Tensor, means: Tensor, covariances: Tensor) -> None:
    if weights.ndim != 1 or not bool((weights >= 0).all()) or abs(float(weights.sum()) - 1) > WEIGHT_TOLERANCE:
        raise ValueError(f"expected K weights >= 0 with sum 1, got {weights.tolist()}; divide them by their sum")
    if means.ndim < 1 or len(means) != len(weights):
        raise ValueError(f"expected {len(weights)} means, got shape {tuple(means.shape)}; give means of shape (K, *E)")
    k, d = len(means), means[0].numel()
    if covariances.shape not in ((), (k,), (k, d, d)):
        raise ValueError(
            f"expected covariances of shape (), ({k},) or ({k}, {d}, {d}), got {tuple(covariances.shape)}; "
            "give variances of isotropic modes or full matrices over the flattened event"
        )
    if not bool((covariances.diagonal(dim1=1, dim2=2) if covariances.ndim == 3 else covariances).ge(0).all()):
        raise ValueError("expected variances >= 0, got a negative one; give squared deviations")
