"""The distributions on which the default rule is fitted: none of them is a problem of the work-precision benchmark.

Each has mean 0 and variance 1 on average over the coordinates, except for the images, which are as they come.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.work_precision_problems import Problem, median, random_mixture, rms, wrong_image
from sde_diffusion.data.patches import Patches
from sde_diffusion.exact.empirical import Empirical
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.problems import digits_empirical

F64 = torch.float64


def standard(weights: Tensor, means: Tensor, covariances: Tensor) -> Mixture:
    """The mixture of covariances (K,) or (K, d, d), moved to mean 0 and scaled to variance 1 on average."""
    weights = weights / weights.sum()
    means = means - weights @ means
    scale = Mixture(weights, means, covariances).variance.mean().rsqrt()
    return Mixture(weights, scale * means, scale**2 * covariances)


def narrow(means: Tensor, deviation: float, weights: Tensor | None = None) -> Mixture:
    """Isotropic modes of one standard deviation."""
    weights = torch.ones(len(means), dtype=F64) if weights is None else weights
    return standard(weights, means, torch.full((len(means),), deviation**2, dtype=F64))


def ring(modes: int, deviation: float, turn: float, uneven: bool = False) -> Mixture:
    """Modes on the unit circle, with weights that vary by three if uneven."""
    angles = torch.arange(modes, dtype=F64) * 2 * math.pi / modes + turn
    weights = _uneven(modes, torch.Generator().manual_seed(1)) if uneven else None
    return narrow(torch.stack((angles.cos(), angles.sin()), -1), deviation, weights)


def spiral() -> Mixture:
    """40 modes along a spiral of one turn and a quarter."""
    angle = torch.linspace(0.5, 3, 40, dtype=F64) * math.pi
    return narrow(torch.stack((angle * angle.cos(), angle * angle.sin()), -1), 0.35)


def full(seed: int, modes: int, d: int, decay: float, within: float = 0.5) -> Mixture:
    """Full covariances of eigenvalues j^-decay in random frames; `within` of the variance lies inside the modes."""
    generator = torch.Generator().manual_seed(seed)
    weights, means = _uneven(modes, generator), torch.randn(modes, d, generator=generator, dtype=F64)
    values = torch.arange(1, d + 1, dtype=F64) ** -decay
    frames = torch.linalg.qr(torch.randn(modes, d, d, generator=generator, dtype=F64)).Q
    return standard(weights, means, (frames * (d * values / values.sum())) @ frames.mT * (within / (1 - within)))


def patches(side: int, count: int, seed: int) -> Empirical:
    """Colour patches of scikit-learn's photographs as a data set."""
    return Empirical(Patches(side, count, seed).batch(torch.arange(count))[0].double())


def table(name: str) -> Empirical:
    """A table of scikit-learn as a data set, its columns standardized."""
    import sklearn.datasets

    rows = torch.as_tensor(getattr(sklearn.datasets, f"load_{name}")().data, dtype=F64)
    return Empirical(torch.unique((rows - rows.mean(0)) / rows.std(0), dim=0))


def every_other_digit() -> Empirical:
    """Half of the digits."""
    return Empirical(digits_empirical().points[::2].reshape(-1, 1, 8, 8))


def _uneven(modes: int, generator: torch.Generator) -> Tensor:
    return 1 + 2 * torch.rand(modes, generator=generator, dtype=F64)


def _points(rows: Sequence[Sequence[float]]) -> Tensor:
    return torch.tensor(rows, dtype=F64)


def _isotropic(seed: int, modes: int, d: int, low: float, high: float, points: int) -> Problem:
    return Problem(partial(random_mixture, seed, modes, d, low, high), points, rms)


LAWS = {
    "ring of 5": Problem(lambda: ring(5, 0.09, 0.3, uneven=True), 512, rms),
    "ring of 7": Problem(lambda: ring(7, 0.05, 0.9), 512, rms),
    "ring of 12": Problem(lambda: ring(12, 0.06, 0.6), 512, rms),
    "three": Problem(
        lambda: narrow(_points([[-1, 0.3], [1, 0.4], [0.2, -1.2]]), 0.18, _points([[2, 5, 3]])[0]), 512, rms
    ),
    "two on a line": Problem(lambda: narrow(_points([[-1], [0.8]]), 0.15, _points([[35, 65]])[0]), 512, rms),
    "spiral": Problem(spiral, 384, rms),
    "10 modes in 4-D": _isotropic(101, 10, 4, 0.1, 0.5, 384),
    "6 modes in 8-D": _isotropic(102, 6, 8, 0.05, 0.6, 384),
    "5 modes in 32-D": _isotropic(103, 5, 32, 0.1, 0.7, 256),
    "2 modes in 16-D": _isotropic(104, 2, 16, 0.1, 0.3, 256),
    "3 modes in 24-D": _isotropic(105, 3, 24, 0.1, 0.8, 256),
    "3 modes in 48-D": _isotropic(106, 3, 48, 0.2, 0.9, 192),
    "15 modes in 3-D": _isotropic(107, 15, 3, 0.05, 0.4, 384),
    "full in 64-D": Problem(lambda: full(201, 10, 64, 2.0), 64, median),
    "full in 48-D": Problem(lambda: full(204, 8, 48, 1.8, 0.4), 64, median),
    "full in 32-D": Problem(lambda: full(202, 6, 32, 1.5), 96, median),
    "full in 16-D": Problem(lambda: full(203, 4, 16, 2.5), 160, median),
    "patches of 8 x 8": Problem(lambda: patches(8, 900, 1), 96, wrong_image, tol=1e-8),
    "patches of 6 x 6": Problem(lambda: patches(6, 700, 2), 96, wrong_image, tol=1e-8),
    "every other digit": Problem(every_other_digit, 96, wrong_image, tol=1e-8),
    "breast cancer": Problem(lambda: table("breast_cancer"), 128, wrong_image, tol=1e-8),
    "wine": Problem(lambda: table("wine"), 128, wrong_image, tol=1e-8),
}
