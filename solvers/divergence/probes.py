r"""Probe vectors with E[v v^T] = I: functions of keys, so that a sample's probes are its own in any batch.

For a symmetric J the variance of v^T J v is

    gaussian    2 |J|_F^2
    sphere      2 d/(d + 2) (|J|_F^2 - tr(J)^2/d)           v uniform on the sphere of radius sqrt(d)
    rademacher  2 (|J|_F^2 - sum_i J_ii^2)                   exact on the diagonal                              (1)

References:
    Hutchinson, A Stochastic Estimator of the Trace of the Influence Matrix, 1989, https://doi.org/10.1080/03610918908812806
    Avron & Toledo, Randomized Algorithms for Estimating the Trace of an Implicit Symmetric Positive Semi-definite
        Matrix, 2011, https://doi.org/10.1145/1944345.1944349
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from solvers.random import mix, normals

Probes = Callable[[Tensor, tuple[int, ...], torch.dtype], Tensor]
"""(keys int64 (B,), (P, *E), dtype) -> (B, P, *E)."""

_STREAM = 0x50524F4245  # "PROBE"


def keys_of(seed: int, indices: Tensor) -> Tensor:
    """The keys of samples int64 (B,) under a seed, apart from those of initial states and of paths."""
    return mix(torch.as_tensor(mix(mix(0, seed), _STREAM), device=indices.device), indices)


def gaussian(keys: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Independent standard normal numbers."""
    return normals(keys, shape, dtype)


def rademacher(keys: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Independent signs."""
    return torch.where(normals(keys, shape) < 0, -1.0, 1.0).to(dtype)


def sphere(keys: Tensor, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Directions of the sphere of radius sqrt(d)."""
    v = normals(keys, shape, dtype)
    flat = v.flatten(2)
    return (flat * (flat.shape[2] ** 0.5 / flat.norm(dim=2, keepdim=True))).reshape(v.shape)
