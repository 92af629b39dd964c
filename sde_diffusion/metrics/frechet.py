r"""The Frechet distance: the squared Wasserstein-2 distance of the two Gaussians with the samples' moments.

    d^2 = |m_1 - m_2|^2 + tr(C_1) + tr(C_2) - 2 tr (C_1^{1/2} C_2 C_1^{1/2})^{1/2}                             (1)

With C_i = A_i A_i^T the last trace is the nuclear norm of A_1^T A_2, the sum of its singular values. A_i comes from the
eigenvectors of C_i, so that no square root is taken of a rounding error; of no more samples than features it is the centred
samples themselves, for which no matrix of features by features is made.

The estimate from N samples is too large by O(1/N), for equal distributions about (D + ...)/N: compare only at equal N.

References:
    Dowson & Landau, The Frechet Distance between Multivariate Normal Distributions, 1982,
        https://doi.org/10.1016/0047-259X(82)90077-X
    Heusel et al., GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium, 2017,
        https://arxiv.org/abs/1706.08500, equation (6): the same squared distance, of Inception features
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.metrics.features import feature_pair


def frechet(x: Tensor, y: Tensor) -> float:
    """Equation (1) for features x (N, D) and y (M, D), with unbiased covariances; N and M at least 2."""
    x, y = feature_pair(x, y, least=2)
    return _of_roots(x.mean(0), _root_of_rows(x), y.mean(0), _root_of_rows(y))


def frechet_of_moments(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """Equation (1) for means (D,) and symmetric positive semi-definite covariances (D, D), or () when D = 1."""
    return _of_roots(mean1, _root(cov1), mean2, _root(cov2))


def _of_roots(mean1: Tensor, root1: Tensor, mean2: Tensor, root2: Tensor) -> float:
    overlap = torch.linalg.svdvals(root1.mT @ root2).sum()
    spread = root1.square().sum() + root2.square().sum()
    return float(((mean1.double() - mean2.double()).square().sum() + spread - 2 * overlap).clamp(min=0))


def _root_of_rows(x: Tensor) -> Tensor:
    """A (D, D) or (D, N), whichever is smaller, with A A^T the unbiased covariance of x (N, D)."""
    if len(x) > x.shape[1]:
        return _root(torch.cov(x.mT))
    return (x - x.mean(0)).double().mT / math.sqrt(len(x) - 1)


def _root(cov: Tensor) -> Tensor:
    """A (D, D) with A A^T = cov; eigenvalues below the rounding error of the largest count as zero."""
    values, vectors = torch.linalg.eigh(torch.atleast_2d(cov.double()))
    noise = values[-1].abs() * len(values) * torch.finfo(torch.float64).eps
    if values[0] < -1e3 * noise - torch.finfo(torch.float64).tiny:
        raise ValueError(f"a covariance is positive semi-definite, got the eigenvalue {float(values[0]):.3g}")
    return vectors * torch.where(values > noise, values, 0).sqrt()
