r"""Probabilities of quantised data from a density: a density on each level's bin bounds the level's probability.

For levels a distance w apart, y = x + w (u - 1/2) and any law q(u | x) on the unit cube,

    log P(x) >= E_q[log p(y) - log q(y | x)],        q(y | x) = q(u | x)/w^d.                                      (1)

Equality holds where q is p restricted to the bin. `Uniform` has q = 1. `Variational` learns it: coordinates
u = sigmoid(m(x) + e^{s(x)} z), z normal, with m and s from a small network.

References:
    Theis, van den Oord & Bethge, A Note on the Evaluation of Generative Models, 2016, https://arxiv.org/abs/1511.01844
    Ho et al., Flow++: Improving Flow-Based Generative Models with Variational Dequantization, 2019, https://arxiv.org/abs/1902.00275
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.likelihood.log_prob import LogProb
from sde_diffusion.objectives.variational import ContinuousBound
from sde_diffusion.sde.base import LinearSDE

Dequantisation = Callable[[Tensor, torch.Generator | None], tuple[Tensor, Tensor]]
"""(x (B, *E), generator) -> (y (B, *E), log q(y | x) (B,))."""


class Uniform:
    """q = 1 on bins of the given width."""

    def __init__(self, width: float) -> None:
        """`width` is the distance of the levels; ValueError unless it is positive."""
        self.width = _positive(width)

    def __call__(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(y, -d log w)."""
        u = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
        return x + self.width * (u - 0.5), x.new_full((len(x),), -x[0].numel() * math.log(self.width))


class Variational(nn.Module):
    """The learned law for events of `size` numbers, begun near the uniform one (logits of standard deviation 1.6)."""

    def __init__(self, width: float, size: int, hidden: int = 128) -> None:
        super().__init__()
        self.width = _positive(width)
        last = nn.Linear(hidden, 2 * size)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(nn.Linear(size, hidden), nn.SiLU(), last)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(y, log q(y | x)), differentiable in the weights."""
        z = torch.randn(x.flatten(1).shape, generator=generator, dtype=x.dtype, device=x.device)
        middle, log_scale = self.network(x.flatten(1)).chunk(2, 1)
        log_scale = log_scale + math.log(1.6)
        logit = middle + log_scale.exp() * z
        slope = nn.functional.logsigmoid(logit) + nn.functional.logsigmoid(-logit)  # log(u (1 - u))
        log_q = -0.5 * z.square() - 0.5 * math.log(2 * math.pi) - log_scale - slope - math.log(self.width)
        return x + self.width * (logit.sigmoid() - 0.5).reshape(x.shape), log_q.sum(1)


def fit_dequantisation(
    dequantisation: Variational,
    denoiser: Denoiser,
    sde: LinearSDE,
    data: Tensor,
    steps: int = 500,
    batch_size: int = 128,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
) -> Variational:
    """Raise (1) on data (N, *E), in place, with the diffusion term of the continuous bound in the place of log p."""
    optimizer, bound = torch.optim.Adam(dequantisation.parameters(), lr=learning_rate), ContinuousBound()
    for _ in range(steps):
        rows = torch.randint(len(data), (batch_size,), generator=generator, device=data.device)
        y, log_q = dequantisation(data[rows], generator)
        loss = (bound(denoiser, sde, y, generator) + log_q / y[0].numel()).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return dequantisation


def quantised(
    log_prob: Callable[[Tensor], LogProb],
    x: Tensor,
    dequantisation: Dequantisation,
    draws: int = 4,
    generator: torch.Generator | None = None,
) -> LogProb:
    """Equation (1) for data x (B, *E) from `draws` >= 2 points of each bin, by any log-probability or bound of y.

    The errors of `log_prob` become those of the mean; what the spread over the draws has beyond them is `dequantisation`.
    """
    if draws < 2:
        raise ValueError(f"a standard error needs at least 2 draws of a bin, got {draws}; give 4")
    with torch.no_grad():
        y, log_q = dequantisation(x.repeat_interleave(draws, 0), generator)
    found = log_prob(y)
    table = (found.value - log_q).reshape(-1, draws)
    own = {name: error.reshape(-1, draws).square().mean(1) for name, error in found.errors.items()}
    rest = (table.var(1) - sum(own.values(), torch.zeros_like(table[:, 0]))).clamp(min=0)
    errors = {name: (square / draws).sqrt() for name, square in {"dequantisation": rest, **own}.items()}
    terms = {name: term.reshape(-1, draws).mean(1) for name, term in found.terms.items()}
    return LogProb(table.mean(1), found.size, errors, terms, torch.full_like(table[:, 0], draws - 1.0))


def _positive(width: float) -> float:
    if not width > 0:
        raise ValueError(f"the levels are a positive distance apart, got {width}; 2/255 for bytes on [-1, 1]")
    return width
