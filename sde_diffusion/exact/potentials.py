r"""Mixture potentials: exact Schroedinger bridges from any source, with v(y) = sum_k a_k N(y; r_k, eps S_k).

The plan from x_0 = x has the density proportional to e^{x.y/eps} v(y); with S_k = U_k diag(s) U_k^T and, in the coordinates
of U_k, w = 1 - t + t s, the process dx = drift dt + sqrt(eps) dW from x_0 has for every t in [0, 1]

    shares      p_k(x, t) prop. a_k prod w^{-1/2} exp(sum ((s - 1) x^2 + 2 x r - t r^2)/(2 eps w))                   (1)
    x_1 | x_t   sum_k p_k N((s x + (1-t) r)/w, eps (1-t) s/w)                                                      (2)
    drift       sum_k p_k ((s - 1) x + r)/w = eps grad log of the sum of (1)                                       (3)

Derivation: N(y; x, (1-t) eps) e^{|y|^2/(2 eps)} N(y; r, eps s) is a Gaussian in y with the mean and variance (2) and the
mass (1), up to what does not depend on k; nothing is divided by 1 - t. The law of x_1 is whatever the plan makes of the
source: potentials and a source define a bridge in any dimension.

References:
    Korotin, Gushchin & Burnaev, Light Schroedinger Bridge, 2023, https://arxiv.org/abs/2310.01174, propositions 3.2 and 3.3
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.exact.law import real
from sde_diffusion.exact.spectrum import eigen, require_density


@dataclass(frozen=True)
class MixturePotentials:
    """Equation (1): log_weights (K,), centres r (K, d), eigenvalues s (K, d) > 0, eigenvectors U (K, d, d) in columns, eps.

    States are rows (B, d); a result has the dtype of the tensors. `of` makes one from matrices and checks them.
    """

    log_weights: Tensor
    centres: Tensor
    spectrum: Tensor
    basis: Tensor
    eps: float

    @classmethod
    def of(cls, weights, centres, matrices, eps: float) -> MixturePotentials:
        """From weights a (K,) > 0, centres r (K, d) and matrices S (K, d, d), in float64; ValueError where they do not fit."""
        masses, points, shapes = real(weights), real(centres), real(matrices)
        k, d = points.shape if points.ndim == 2 else (-1, -1)
        if masses.shape != (k,) or shapes.shape != (k, d, d) or not bool((masses > 0).all()) or not eps > 0:
            raise ValueError(
                "potentials have K weights > 0, centres (K, d), matrices (K, d, d) and eps > 0, got weights "
                f"{tuple(masses.shape)}, centres {tuple(points.shape)}, matrices {tuple(shapes.shape)} and eps = {eps}"
            )
        values, basis = eigen(shapes)
        require_density(values)
        return cls(masses.log(), points, values, basis, float(eps))

    def log_masses(self, x: Tensor, t: float | Tensor = 0.0) -> Tensor:
        """The logarithm of the terms of equation (1), shape (B, K); their sum is log c(x) up to a constant."""
        x, r, w = self._coordinates(x, t)
        exponents = ((self.spectrum - 1) * x.square() + 2 * x * r - t * r.square()) / w
        return self.log_weights + exponents.sum(-1) / (2 * self.eps) - w.log().sum(-1) / 2

    def log_potential(self, y: Tensor) -> Tensor:
        """log v(y), shape (B,)."""
        y, r, _ = self._coordinates(y, 1.0)
        variances = self.eps * self.spectrum
        squares = ((y - r).square() / variances + (2 * math.pi * variances).log()).sum(-1)
        return (self.log_weights - squares / 2).logsumexp(-1)

    def log_plan(self, x: Tensor, y: Tensor) -> Tensor:
        """log p(x_1 = y | x_0 = x), shape (B,)."""
        own = self.log_masses(x) + (self._rows(x).square().sum(-1, keepdim=True)) / (2 * self.eps)
        return self.log_potential(y) + (self._rows(x) * self._rows(y)).sum(-1) / self.eps - own.logsumexp(-1)

    def far_mean(self, x: Tensor, t: float = 0.0) -> Tensor:
        """E[x_1 | x_t = x], shape (B, d), equation (2)."""
        shares = self.log_masses(x, t).softmax(-1)
        at, r, w = self._coordinates(x, t)
        return self._mixed(shares, (self.spectrum * at + (1 - t) * r) / w)

    def drift(self, x: Tensor, t: float) -> Tensor:
        """Equation (3), shape (B, d)."""
        shares = self.log_masses(x, t).softmax(-1)
        at, r, w = self._coordinates(x, t)
        return self._mixed(shares, ((self.spectrum - 1) * at + r) / w)

    def sample(self, x: Tensor, generator: torch.Generator | None, t: float = 0.0) -> Tensor:
        """x_1 given x_t = x, shape (B, d), equation (2)."""
        modes = torch.multinomial(self.log_masses(x, t).softmax(-1), 1, generator=generator).squeeze(1)
        at, r, w = (part[torch.arange(len(x)), modes] for part in self._spread(x, t))
        s = self.spectrum[modes]
        noise = torch.randn(at.shape, generator=generator, dtype=at.dtype, device=at.device)
        inner = (s * at + (1 - t) * r) / w + (self.eps * (1 - t) * s / w).sqrt() * noise
        return torch.einsum("bij,bj->bi", self.basis[modes], inner)

    def pairs(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """The pairs (x_0, x_1) of the plan for x_0 = x (B, d), shape (B, 2, d)."""
        return torch.stack((self._rows(x), self.sample(x, generator)), 1)

    def _rows(self, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.centres.shape[1]:
            raise ValueError(f"expected rows (B, {self.centres.shape[1]}), got {tuple(x.shape)}; flatten the events")
        return x.to(self.centres.dtype)

    def _coordinates(self, x: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, K, d) and r (K, d) in the coordinates of U_k, and w (K, d)."""
        if not 0 <= t <= 1:
            raise ValueError(f"a bridge runs from 0 to 1, got t = {t}; divide the time by the horizon")
        rotated = torch.einsum("bi,kij->bkj", self._rows(x), self.basis)
        return rotated, torch.einsum("ki,kij->kj", self.centres, self.basis), 1 - t + t * self.spectrum

    def _spread(self, x: Tensor, t: float) -> list[Tensor]:
        at, r, w = self._coordinates(x, t)
        return [at, r.expand_as(at), w.expand_as(at)]

    def _mixed(self, shares: Tensor, values: Tensor) -> Tensor:
        return torch.einsum("bk,bkj,kij->bi", shares, values, self.basis)


def random_potentials(d: int, eps: float, modes: int = 4, seed: int = 0, spread: float = 1.5) -> MixturePotentials:
    """Potentials from a seed: centres N(0, spread^2), random frames and eigenvalues of S from 0.1 to 0.6."""
    generator = torch.Generator().manual_seed(seed)
    weights = 0.5 + torch.rand(modes, generator=generator, dtype=torch.float64)
    centres = spread * torch.randn(modes, d, generator=generator, dtype=torch.float64)
    values = 0.1 + 0.5 * torch.rand(modes, d, generator=generator, dtype=torch.float64)
    frames = torch.linalg.qr(torch.randn(modes, d, d, generator=generator, dtype=torch.float64)).Q
    return MixturePotentials((weights / weights.sum()).log(), centres, values, frames, eps)
