r"""The named problems of tests and benchmarks: distributions that are known exactly."""

from __future__ import annotations

import math

import torch

from sde_diffusion.exact.empirical import Empirical
from sde_diffusion.exact.mixture import Mixture


def two() -> Mixture:
    """0.3 N((-1, 0), 0.2^2 I) + 0.7 N((1, 0.5), 0.2^2 I), samples of shape (2,): the smallest problem with two modes."""
    return Mixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], 0.2**2)


def ring8() -> Mixture:
    """Eight equal modes of standard deviation 0.05 on the unit circle, samples of shape (2,)."""
    angles = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return Mixture(torch.full((8,), 1 / 8), torch.stack((angles.cos(), angles.sin()), -1), 0.05**2)


def mixture64(seed: int = 0) -> Mixture:
    """Ten unequal modes with full covariances in 64 dimensions, mean 0 and variance 1 on average over the coordinates.

    A caricature of images: the weights vary by a factor of three, each mode has its own random eigenbasis, its
    eigenvalues fall as j^-2 (a condition number of 4096), and about half of the total variance lies between the means.
    """
    generator = torch.Generator().manual_seed(seed)
    modes, d = 10, 64
    weights = 1 + 2 * torch.rand(modes, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum()
    means = torch.randn(modes, d, generator=generator, dtype=torch.float64)
    means = means - weights @ means
    decay = torch.arange(1, d + 1, dtype=torch.float64) ** -2.0
    frames = torch.linalg.qr(torch.randn(modes, d, d, generator=generator, dtype=torch.float64)).Q
    covariances = (frames * (d * decay / decay.sum())) @ frames.mT
    scale = Mixture(weights, means, covariances).variance.mean().rsqrt()
    return Mixture(weights, scale * means, scale**2 * covariances)


def digits_empirical() -> Empirical:
    """The 1797 handwritten digits of scikit-learn as a data set of shape (1, 8, 8), scaled to [-1, 1].

    Reference:
        Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, 1998, https://doi.org/10.24432/C50P49
    """
    from sklearn.datasets import load_digits

    pixels, _ = load_digits(return_X_y=True)
    return Empirical(torch.as_tensor(pixels, dtype=torch.float64).reshape(-1, 1, 8, 8) / 8 - 1)
