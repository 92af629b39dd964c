"""How the uniform numbers of a batch are drawn, from which its times are made: B of them in [0, 1), float64.

Each is uniform on its own; together they spread more evenly than independent ones, which lowers the variance of a batch's mean.

References:
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, appendix I.1 (the comb)
    Owen, Monte Carlo Theory, Methods and Examples, 2013, https://artowen.su.domains/mc/, chapters 8 and 10
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sde_diffusion.objectives.kinds import Shares

Uniforms = Callable[[Tensor, torch.Generator | None], Shares]
"""(events (B, *E), generator) -> (B,), on the events' device."""


def independent(x0: Tensor, generator: torch.Generator | None) -> Shares:
    """B independent numbers."""
    return torch.rand(x0.shape[0], generator=generator, device=x0.device, dtype=torch.float64)


def stratified(x0: Tensor, generator: torch.Generator | None) -> Shares:
    """One number in each of B equal shares of [0, 1), in random order."""
    return (_order(x0, generator) + independent(x0, generator)) / x0.shape[0]


def comb(x0: Tensor, generator: torch.Generator | None) -> Shares:
    """A comb of B equal teeth with one random shift, in random order: VDM's low-discrepancy sampler."""
    shift = torch.rand(1, generator=generator, device=x0.device, dtype=torch.float64)
    return (_order(x0, generator) + shift) / x0.shape[0]


def antithetic(x0: Tensor, generator: torch.Generator | None) -> Shares:
    """Stratified pairs u and 1 - u, in random order; exact for what is odd about the middle."""
    half = stratified(x0[: (x0.shape[0] + 1) // 2], generator) / 2
    pairs = torch.cat((half, 1 - half)).clamp(max=1 - 2**-53)
    return pairs[_order(pairs, generator)][: x0.shape[0]]


def _order(x0: Tensor, generator: torch.Generator | None) -> Tensor:
    return torch.randperm(x0.shape[0], generator=generator, device=x0.device)
