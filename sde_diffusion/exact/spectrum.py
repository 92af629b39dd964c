r"""Covariances in their eigenbasis: once diagonalised, every noise level costs O(d^2).

    C = U diag(v) U^T   =>   alpha^2 C + sigma^2 I = U diag(alpha^2 v + sigma^2) U^T,                              (1)

a sum of non-negative terms without any cancellation, so that (1) is accurate to rounding from sigma -> 0 to alpha -> 0.
A basis of None is the identity: isotropic and diagonal covariances then never form a matrix.
"""

from __future__ import annotations

import torch
from torch import Tensor

SYMMETRY_TOLERANCE = 1e-8
"""The largest asymmetry and the most negative eigenvalue that count as rounding, relative to the largest entry."""


def eigen(covariances: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (*K, d) and eigenvectors (*K, d, d) (in columns) of covariance matrices (*K, d, d).

    Eigenvalues within rounding (d eps times the largest) of 0 are 0: a singular covariance stays singular.
    Raises ValueError when a matrix is not symmetric or not positive semi-definite.
    """
    size = covariances.abs().amax((-2, -1), keepdim=True)
    skew = (covariances - covariances.mT).abs()
    if bool((skew > SYMMETRY_TOLERANCE * size).any()):
        raise ValueError(f"expected symmetric covariances, got an asymmetry of {skew.max():.3g}; symmetrise them")
    values, basis = torch.linalg.eigh((covariances + covariances.mT) / 2)
    if bool((values < -SYMMETRY_TOLERANCE * size.squeeze(-1)).any()):
        raise ValueError(
            f"expected positive semi-definite covariances, got an eigenvalue of {values.min():.3g}; "
            "give a covariance matrix, not its inverse or its logarithm"
        )
    rounding = values.shape[-1] * torch.finfo(values.dtype).eps * values[..., -1:]
    return torch.where(values > rounding, values, 0.0), basis


def gain(alpha: Tensor | float, values: Tensor, variances: Tensor) -> Tensor:
    """alpha v / (alpha^2 v + sigma^2): how far the posterior mean follows the observation; 0 where 0 / 0.

    `variances` are alpha^2 v + sigma^2, of the shape of the result.
    """
    return alpha * values / variances.clamp_min(torch.finfo(variances.dtype).tiny)


def require_density(variances: Tensor) -> None:
    """Refuse (ValueError) the density of a law on a subspace or on points."""
    if bool((variances <= 0).any()):
        raise ValueError("a singular covariance has no density, got an eigenvalue of 0; take law.through(kernel) first")
