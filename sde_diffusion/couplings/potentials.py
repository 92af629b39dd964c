r"""Mixture potentials fitted to samples: a Schroedinger bridge in seconds, without a network.

The plan p(x) e^{x.y/eps} v(y)/c(x) of potentials v = sum_k a_k N(r_k, eps S_k) is as near to the entropic plan, in
Kullback-Leibler divergence and up to a constant, as

    E[log c(x_0)] - E[log v(x_1)],   c(x) = sum_k a_k exp((x^T S_k x + 2 x^T r_k)/(2 eps))                          (1)

is small: samples of the two ends are enough. With one component the minimum is the Gaussian plan of the samples' moments.
Here the centres start at spread points of the far samples, and Adam runs with a rate that falls to nothing.

References:
    Korotin, Gushchin & Burnaev, Light Schroedinger Bridge, 2023, https://arxiv.org/abs/2310.01174, propositions 3.1 and 3.2
    Arthur & Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007 (the start)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.couplings.base import Coupling, Pairs, check_batches
from sde_diffusion.exact.potentials import MixturePotentials

RATE, BATCH = 0.02, 1024
"""The first learning rate of Adam, and the samples of each end in a step."""


@dataclass(frozen=True, eq=False)
class PotentialsCoupling(Coupling):
    """Every x_0 with an x_1 drawn from the plan of the potentials. The x_1 of the batch are not used."""

    potentials: MixturePotentials

    def couple(self, x0: Tensor, x1: Tensor, generator: torch.Generator | None, label: Any) -> Pairs:
        """The pairs; far_rows is None."""
        far = self.potentials.sample(x0.flatten(1).to(torch.float64), generator)
        return Pairs(x0, far.reshape(x0.shape).to(x0), torch.arange(len(x0), device=x0.device))


def fit_potentials(
    x0: Tensor, x1: Tensor, eps: float, components: int = 20, steps: int = 1500, seed: int = 0
) -> MixturePotentials:
    """Potentials (1) for samples x0 (N, *E) and x1 (M, *E), of the flattened events, in float64.

    Raises ValueError for eps <= 0, fewer samples than components, and a fit that diverged.
    """
    check_batches(x0, x1)
    near, far = (x.detach().flatten(1).to(torch.float64) for x in (x0, x1))
    if not eps > 0 or not 0 < components <= len(far) or not steps > 0:
        raise ValueError(
            f"expected eps > 0, steps > 0 and 1 to {len(far)} components, got eps = {eps}, {steps} steps and "
            f"{components} components; change them"
        )
    generator = torch.Generator().manual_seed(seed)
    with torch.enable_grad():
        weights = _descend(_start(near, far, eps, components, generator), near, far, eps, steps, generator)
    logs, centres, factors = (value.detach() for value in weights)
    if not all(bool(value.isfinite().all()) for value in (logs, centres, factors)):
        raise ValueError(f"the fit diverged at eps = {eps:g}; scale the data to unit variance or take a larger eps")
    lower = _triangle(factors)
    return MixturePotentials.of(logs.softmax(0), centres, lower @ lower.mT, eps)


def loss(logs: Tensor, centres: Tensor, lower: Tensor, x0: Tensor, x1: Tensor, eps: float) -> Tensor:
    """Equation (1) for log-weights (K,), centres (K, d) and Cholesky factors of the S_k (K, d, d)."""
    stretched = torch.einsum("bi,kij->bkj", x0, lower).square().sum(-1)
    log_c = (logs + (stretched + 2 * x0 @ centres.mT) / (2 * eps)).logsumexp(1)
    offsets = (x1.unsqueeze(0) - centres.unsqueeze(1)).mT
    squares = torch.linalg.solve_triangular(lower, offsets, upper=False).square().sum(1) / eps
    spread = 2 * lower.diagonal(dim1=1, dim2=2).log().sum(1) + x1.shape[1] * math.log(2 * math.pi * eps)
    log_v = (logs.unsqueeze(1) - (squares + spread.unsqueeze(1)) / 2).logsumexp(0)
    return log_c.mean() - log_v.mean()


def _descend(start: list[Tensor], near: Tensor, far: Tensor, eps: float, steps: int, generator: torch.Generator):
    weights = [value.requires_grad_() for value in start]
    adam = torch.optim.Adam(weights, lr=RATE, betas=(0.9, 0.95))
    for step in range(steps):
        adam.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / steps)) / 2
        x0, x1 = (_draw(x, generator) for x in (near, far))
        logs, centres, factors = weights
        adam.zero_grad()
        loss(logs, centres, _triangle(factors), x0, x1, eps).backward()
        adam.step()
    return weights


def _draw(x: Tensor, generator: torch.Generator) -> Tensor:
    """BATCH rows, or all of fewer."""
    return x if len(x) <= BATCH else x[torch.randint(len(x), (BATCH,), generator=generator).to(x.device)]


def _start(near: Tensor, far: Tensor, eps: float, components: int, generator: torch.Generator) -> list[Tensor]:
    """log a (K,), r (K, d) and factors: eps S is a fraction of the far variance, and r_k + S E[x_0] a spread point."""
    points = spread_points(far, components, generator)
    share = float(far.var(0).mean()) / components ** (2 / far.shape[1])
    s = min(max(share / (eps + share), 1e-4), 1.0)
    factors = torch.zeros(components, *far.shape[1:], *far.shape[1:], dtype=far.dtype, device=far.device)
    factors.diagonal(dim1=1, dim2=2).fill_(math.log(s) / 2)
    return [far.new_zeros(components), points - s * near.mean(0), factors]


def _triangle(factors: Tensor) -> Tensor:
    """Lower triangular with the exponentials on the diagonal."""
    return factors.tril(-1) + torch.diag_embed(factors.diagonal(dim1=1, dim2=2).exp())


def spread_points(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """k-means++: points (count, d), each drawn in proportion to its squared distance from those before."""
    chosen = [points[torch.randint(len(points), (), generator=generator)]]
    distances = (points - chosen[0]).square().sum(1)
    while len(chosen) < count:
        drawn = distances if bool(distances.any()) else torch.ones_like(distances)
        chosen.append(points[int(torch.multinomial(drawn.cpu(), 1, generator=generator))])
        distances = torch.minimum(distances, (points - chosen[-1]).square().sum(1))
    return torch.stack(chosen)
