"""The entropic plan of two Gaussians as a coupling: exact for Gaussian data, a poor start where data have modes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs, check_batches
from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.plans import entropic_plan


@dataclass(frozen=True, eq=False)
class GaussianCoupling(Coupling):
    """Every x_0 with an x_1 drawn from N(m_1 + A (x_0 - m_0), R R^T): the conditional law of a Gaussian plan.

    The x_1 of the batch are not used. All tensors are float64 of the flattened event.
    """

    near_mean: Tensor
    far_mean: Tensor
    slope: Tensor
    root: Tensor

    @classmethod
    def of(cls, near: Gaussian, far: Gaussian, eps: float) -> Self:
        """The plan of two laws at temperature eps > 0. Raises what `entropic_plan` raises, and ValueError for eps = 0."""
        if not eps > 0:
            raise ValueError(f"GaussianCoupling needs a temperature eps > 0, got {eps}; eps = 0 is Assignment()")
        plan = entropic_plan(near, far, eps).covariance
        d = len(plan) // 2
        slope = torch.linalg.solve(plan[:d, :d], plan[:d, d:]).mT
        rest = plan[d:, d:] - slope @ plan[:d, d:]
        root = torch.linalg.cholesky((rest + rest.mT) / 2)
        return cls(near.mean.reshape(-1), far.mean.reshape(-1), slope, root)

    @classmethod
    def fit(cls, x0: Tensor, x1: Tensor, eps: float) -> Self:
        """The plan of the means and covariances of two sets of points (N, *E) and (M, *E)."""
        check_batches(x0, x1)
        return cls.of(_moments(x0), _moments(x1), eps)

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs; far_rows is None."""
        rows = x0.flatten(1).to(torch.float64)
        noise = torch.randn(rows.shape, generator=generator, dtype=torch.float64, device=rows.device)
        far = self.far_mean + (rows - self.near_mean) @ self.slope.mT + noise @ self.root.mT
        return Pairs(x0, far.reshape(x0.shape).to(x0), torch.arange(len(x0), device=x0.device))


def _moments(x: Tensor) -> Gaussian:
    rows = x.flatten(1).to(torch.float64)
    return Gaussian(rows.mean(0), torch.cov(rows.mT).reshape(rows.shape[1], -1))
