r"""Lower bounds of the log-likelihood of a chain of T steps, from forward paths.

    ELBO      E_q[log w],                    w = p(x_0, x_{t_0} .. x_{t_T})/q(x_{t_0} .. x_{t_T} | x_0)            (1)
    IWAE(K)   E[log (w_1 + .. + w_K)/K] ,    which grows with K to log p(x_0)                                     (2)

Both bound the likelihood of the *chain*, the reverse SDE on this grid; the probability flow is another model. With an
exact denoiser (1) itself tends to the exact log-density as T grows: the paths of the reverse process are those of the
forward one.

References:
    Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, 2016, https://arxiv.org/abs/1509.00519
    Sohl-Dickstein et al., Deep Unsupervised Learning using Nonequilibrium Thermodynamics, 2015, https://arxiv.org/abs/1503.03585
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from sde_diffusion.likelihood.log_prob import LogProb
from sde_diffusion.likelihood.paths import Chain, Pieces, forward_path_terms
from solvers.equations import select_rows


def elbo(chain: Chain, x: Tensor, draws: int = 4, generator: torch.Generator | None = None) -> LogProb:
    """Equation (1) for x (B, *E) from `draws` >= 2 paths a point, with its terms prior, diffusion, reconstruction.

    The Kullback-Leibler divergences of the steps are closed forms: only their conditions are drawn.
    """
    pieces = _paths(chain, x, draws, generator)
    terms = {name: getattr(pieces, name) for name in ("prior", "diffusion", "reconstruction")}
    whole = sum(terms.values(), torch.zeros_like(pieces.prior))
    means = {name: term.mean(1) for name, term in terms.items()}
    return _averaged(whole, x[0].numel(), means)


def importance_weighted(chain: Chain, x: Tensor, paths: int = 16, generator: torch.Generator | None = None) -> LogProb:
    """Equation (2) for x (B, *E) with K = `paths` >= 2; the term `effective` is 1/sum of the squared weights.

    The error is that of the mean weight, sd(w)/(sqrt(K) mean(w)); what the bound itself still lacks is not in it.
    """
    pieces = _paths(chain, x, paths, generator)
    weights = pieces.prior + pieces.realised + pieces.reconstruction
    share = weights.softmax(1)
    value = weights.logsumexp(1) - math.log(paths)
    error = (share * paths).std(1) / math.sqrt(paths)
    effective = 1 / share.square().sum(1)
    return LogProb(value, x[0].numel(), {"paths": error}, {"effective": effective}, torch.full_like(value, paths - 1.0))


def _paths(chain: Chain, x: Tensor, count: int, generator: torch.Generator | None) -> Pieces:
    """The pieces of `count` paths a point, each (B, count)."""
    if count < 2:
        raise ValueError(f"a standard error needs at least 2 paths a point, got {count}; give 4")
    chain.sde.check_data(x)
    rows = torch.arange(len(x), device=x.device).repeat_interleave(count)
    chain = replace(chain, denoiser=select_rows(chain.denoiser, rows))
    whole = forward_path_terms(chain, x[rows], generator)
    return Pieces(*(value.reshape(len(x), count) for value in vars(whole).values()))


def _averaged(draws: Tensor, size: int, terms: dict[str, Tensor]) -> LogProb:
    """The mean over draws (B, count)."""
    count = draws.shape[1]
    freedom = torch.full_like(draws[:, 0], count - 1.0)
    return LogProb(draws.mean(1), size, {"draws": draws.std(1) / math.sqrt(count)}, terms, freedom)


Bound = Callable[[Tensor], LogProb]
"""x (B, *E) -> a bound of log p(x)."""
