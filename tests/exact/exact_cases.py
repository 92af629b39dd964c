"""Laws and noise levels that the tests of `sde_diffusion.exact` share."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.exact import Empirical, Gaussian, Law, Mixture
from sde_diffusion.kernel import Kernel

LEVELS = {
    "vanishing noise": Kernel(1.0, 1e-6),
    "little noise": Kernel(0.999, 0.02),
    "even": Kernel(0.8, 0.6),
    "exploded": Kernel(1.0, 80.0),
    "little signal": Kernel(0.05, 1.0),
    "vanishing signal": Kernel(1e-6, 1.0),
    "no signal": Kernel(0.0, 1.0),
}


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def covariance(*shape: int, seed: int = 0) -> Tensor:
    """Well-conditioned random covariances (*K, d, d)."""
    root = normal(*shape, seed=seed)
    return root @ root.mT / shape[-1] + 0.1 * torch.eye(shape[-1], dtype=torch.float64)


def gaussian(seed: int = 1) -> Gaussian:
    return Gaussian(normal(3, seed=seed), covariance(3, 3, seed=seed + 1))


def mixture(seed: int = 2) -> Mixture:
    return Mixture([0.2, 0.5, 0.3], normal(3, 2, 2, seed=seed), covariance(3, 4, 4, seed=seed + 1))


def points(seed: int = 5) -> Empirical:
    return Empirical(normal(12, 1, 3, seed=seed))


def laws() -> dict[str, Law]:
    """One of each kind, over events of several ranks, all with a density."""
    return {
        "gaussian": gaussian(),
        "diagonal": Gaussian.diagonal(normal(2, 3), normal(3, seed=1).square() + 0.1),
        "isotropic": Gaussian.isotropic(normal(2), 0.3, (1, 2, 2)),
        "degenerate shape": Gaussian(0.5, [[0.7]]),
        "mixture": mixture(),
        "isotropic modes": Mixture([0.4, 0.6], [[-1.0, 0.0], [1.0, 0.5]], [0.04, 0.3]),
        "smoothed points": points().through(Kernel(0.9, 0.4)),
    }


def noisy(law: Law, kernel: Kernel, n: int = 16, seed: int = 7) -> Tensor:
    """x_t behind the kernel, without `through`."""
    generator = rng(seed)
    x0 = law.sample(n, generator)
    return kernel.perturb(x0, torch.randn(x0.shape, generator=generator, dtype=x0.dtype))


def close(found: Tensor, expected: Tensor, tol: float) -> bool:
    """Agreement relative to the largest entry; shapes and dtypes must agree too."""
    assert found.shape == expected.shape
    assert found.dtype == expected.dtype
    return bool((found - expected).abs().max() <= tol * expected.abs().max())
