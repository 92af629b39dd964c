r"""Particle sets: weights, their effective number, and systematic resampling within each set.

Set k holds the samples with the numbers k K .. k K + K - 1. Sets do not know of each other, and the uniform number of a
resampling is a function of (seed, set, step): a sample does not depend on how many sets are run together.

    ESS = (sum w)^2 / sum w^2,    log Z_k = sum over resamplings of log(mean w).                                    (1)

A set is resampled when its ESS falls below a share of K. Its weights are kept and multiplied on as long as it is not, and
are 1 afterwards, so that exp(log Z_k) estimates the normaliser without bias.

References:
    Doucet & Johansen, A Tutorial on Particle Filtering and Smoothing, 2009, section 3.5 (adaptive resampling)
    Kitagawa, Monte Carlo Filter and Smoother for Non-Gaussian Nonlinear State Space Models, 1996,
        https://doi.org/10.1080/10618600.1996.10474692, appendix (systematic resampling)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from solvers.random import check_keys, digest, mix

_STREAM = 0x52455341  # the word that names the numbers of resampling


@dataclass(frozen=True)
class Particles:
    """The particles of S sets of K, B = S K.

    Attributes:
        x: the states, shape (B, *E).
        kept: what travels with each: tensors whose first axis is B, in tuples.
        log_weights: since the last resampling of its set, float64, shape (B,).
        log_evidence: equation (1) up to the last resampling, float64, shape (S,).
        lowest_ess: as a share of K, so far, shape (S,).
        ancestors: the number within its set of the first particle that each descends from, int64, shape (B,).
    """

    x: Tensor
    kept: Any
    log_weights: Tensor
    log_evidence: Tensor
    lowest_ess: Tensor
    ancestors: Tensor


@dataclass(frozen=True)
class ParticleSets:
    """Sets of `size` particles.

    Attributes:
        indices: the samples' numbers, whole sets in order, int64, shape (B,).
        size: K.
        seed: of the resampling.
        threshold: the share of K below which the ESS calls for a resampling.

    Raises ValueError for numbers that are not whole sets, a size below 2, or a threshold outside (0, 1].
    """

    indices: Tensor
    size: int
    seed: int
    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_keys(self.indices)
        if self.size < 2 or not 0 < self.threshold <= 1:
            raise ValueError(
                f"a set has at least 2 particles and is resampled below a share in (0, 1], got {self.size} and {self.threshold:g}"
            )
        if len(self.indices) % self.size:
            raise ValueError(f"{len(self.indices)} samples are no whole sets of {self.size}; take a multiple of it")
        table = self._by_set(self.indices)
        whole = table[:, :1] + torch.arange(self.size, device=table.device)
        if not bool(((table == whole) & (table[:, :1] % self.size == 0)).all()):
            raise ValueError(f"sets of {self.size} begin at its multiples and are in order; start at another sample")

    def begin(self, x: Tensor, kept: Any) -> Particles:
        """Particles of weight one."""
        zeros = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        per_set = self._by_set(zeros)[:, 0]
        own = torch.arange(self.size, device=x.device).repeat(len(per_set))
        return Particles(x, kept, zeros, per_set.clone(), torch.ones_like(per_set), own)

    def weigh(self, particles: Particles, log_gain: Tensor) -> Particles:
        """The weights multiplied by exp(log_gain), shape (B,)."""
        weighted = replace(particles, log_weights=particles.log_weights + log_gain)
        return replace(weighted, lowest_ess=torch.minimum(particles.lowest_ess, self.ess(weighted)))

    def ess(self, particles: Particles) -> Tensor:
        """The effective number of each set as a share of K, shape (S,)."""
        w = self._by_set(particles.log_weights).softmax(1)
        return 1 / (w.square().sum(1) * self.size)

    def resample(self, particles: Particles, step: int) -> Particles:
        """Those sets resampled whose ESS is below the threshold; the others keep their weights."""
        chosen = self.ess(particles) < self.threshold
        return self._resampled(particles, step, chosen) if bool(chosen.any()) else particles

    def resample_all(self, particles: Particles, step: int) -> Particles:
        """All sets resampled: the particles are draws of equal weight."""
        return self._resampled(particles, step, torch.ones_like(particles.log_evidence, dtype=torch.bool))

    def _resampled(self, particles: Particles, step: int, chosen: Tensor) -> Particles:
        logs = self._by_set(particles.log_weights)
        own = torch.arange(self.size, device=logs.device)
        found = torch.where(chosen.unsqueeze(1), systematic(logs.softmax(1), self._uniforms(step)), own)
        rows = (found + self.size * torch.arange(len(logs), device=logs.device).unsqueeze(1)).flatten()
        mean = logs.logsumexp(1) - torch.tensor(self.size, dtype=logs.dtype).log()
        return replace(
            particles,
            x=particles.x[rows],
            kept=take(particles.kept, rows),
            log_weights=torch.where(chosen.unsqueeze(1), 0.0, logs).flatten(),
            log_evidence=particles.log_evidence + torch.where(chosen, mean, 0.0),
            ancestors=particles.ancestors[rows],
        )

    def _uniforms(self, step: int) -> Tensor:
        """One number in [0, 1) for each set, keyed by (seed, set, step)."""
        sets = torch.div(self._by_set(self.indices)[:, 0], self.size, rounding_mode="floor")
        bits = mix(mix(mix(digest(self.seed), _STREAM), sets), step)
        return ((bits >> 11) & (2**53 - 1)).to(torch.float64) * 2.0**-53

    def _by_set(self, values: Tensor) -> Tensor:
        return values.reshape(-1, self.size)


def systematic(weights: Tensor, u: Tensor) -> Tensor:
    """Ancestors (S, K) for weights (S, K) that sum to 1 and u (S,) in [0, 1): n_i copies of i, |n_i - K w_i| < 1, mean K w_i."""
    size = weights.shape[1]
    points = (torch.arange(size, device=u.device) + u.unsqueeze(1)) / size
    return torch.searchsorted(weights.cumsum(1), points.contiguous(), right=True).clamp(max=size - 1)


def take(value: Any, rows: Tensor) -> Any:
    """The rows of every tensor in nested tuples; what is no tensor stays."""
    if isinstance(value, Tensor):
        return value[rows]
    if not isinstance(value, tuple):
        return value
    parts = [take(part, rows) for part in value]
    if all(new is old for new, old in zip(parts, value, strict=True)):
        return value
    return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
