r"""Sliced score matching: implicit score matching along one random direction, with one product with the Jacobian.

With E[v v^T] = I,

    plain              E[g^2 (v^T J v + (v^T s)^2/2)]                                                             (1)
    variance-reduced   E[g^2 (v^T J v + |s|^2/2)]                                                                 (2)

both have the minimum of implicit score matching; in (2) the square is integrated over v.

References:
    Song et al., Sliced Score Matching: A Scalable Approach to Density and Score Estimation, 2019, https://arxiv.org/abs/1905.07088
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sde_diffusion.objectives.forward_states import States, normal_like, through_kernel
from sde_diffusion.objectives.implicit import rate, score_field
from sde_diffusion.objectives.kinds import Losses
from sde_diffusion.objectives.uniforms import Uniforms, stratified
from sde_diffusion.objectives.weighting import TimeDistribution, uniform_time
from sde_diffusion.sde.base import SDE
from solvers.divergence.base import products

Square = Callable[[Tensor, Tensor], Tensor]
"""(v (B, *E), s (B, *E)) -> the second term, twice, (B,)."""


def along_the_slice(v: Tensor, score: Tensor) -> Tensor:
    """(v^T s)^2: equation (1)."""
    return _inner(v, score).square()


def integrated(v: Tensor, score: Tensor) -> Tensor:
    """|s|^2: equation (2)."""
    return _inner(score, score)


@dataclass(frozen=True)
class SlicedScoreMatching:
    """Equation (2), or (1) with `square` = `along_the_slice`, by the mean over dimensions, with normal directions.

    See `ImplicitScoreMatching` for `states`.
    """

    states: States = through_kernel
    square: Square = integrated
    times: TimeDistribution = uniform_time
    draw: Uniforms = stratified

    def __call__(
        self, denoiser: nn.Module, sde: SDE, x0: Tensor, generator: torch.Generator | None = None, **condition
    ) -> Losses:
        """The loss of each sample, (B,), from data x0 (B, *E)."""
        t = self.times(sde, self.draw(x0, generator))  # pyright: ignore[reportArgumentType]
        x = self.states(sde, x0, t, generator).detach()
        return self.at(denoiser, sde, x, normal_like(x, generator), t, **condition)

    def at(self, denoiser: nn.Module, sde: SDE, x: Tensor, v: Tensor, t: Tensor, **condition) -> Tensor:
        """The same at given states and directions (B, *E) and times (B,)."""
        score, pushed = products(score_field(denoiser, sde, t, **condition), x, v[:, None])
        return rate(sde, t, x) * (_inner(v, pushed[:, 0]) + 0.5 * self.square(v, score)) / x[0].numel()


def _inner(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1)
