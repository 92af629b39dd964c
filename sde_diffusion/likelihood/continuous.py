r"""The bound of a chain of infinitely many steps: an integral over the log-SNR, by importance sampling.

    log p(x) >= prior + reconstruction - integral_{l_T}^{l_0} e^l E|D(x_t) - x|^2/2 dl                              (1)

The integral is an expectation over u, l = l(u) by any schedule: the value is the same, the error is the schedule's.

References:
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, equations (11) and (18)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.likelihood.log_prob import LogProb
from sde_diffusion.likelihood.paths import Chain, prior_term, reconstruction_term
from sde_diffusion.objectives.level_schedule import Schedule, linear_schedule
from sde_diffusion.objectives.variational import squared_error, times_at


@torch.no_grad()
def continuous_bound(
    chain: Chain,
    x: Tensor,
    levels: int = 32,
    draws: int = 4,
    schedule: Schedule = linear_schedule,
    generator: torch.Generator | None = None,
) -> LogProb:
    """Equation (1) for x (B, *E); the chain lends its process, prior and reconstruction, not its grid.

    Each of `draws` >= 2 independent combs asks the denoiser at `levels` noise levels of each point's own; their spread is
    the standard error.
    """
    if draws < 2 or levels < 1:
        raise ValueError(f"a bound needs draws >= 2 and levels >= 1, got {draws} and {levels}; give 4 and 32")
    chain.sde.check_data(x)
    rounds = [_comb(chain, x, levels, schedule, generator) for _ in range(draws)]
    terms = {name: torch.stack([one[name] for one in rounds], 1) for name in rounds[0]}
    whole = sum(terms.values(), torch.zeros_like(terms["prior"]))
    errors, freedom = {"draws": whole.std(1) / math.sqrt(draws)}, torch.full_like(whole[:, 0], draws - 1.0)
    return LogProb(whole.mean(1), x[0].numel(), errors, {name: term.mean(1) for name, term in terms.items()}, freedom)


def _comb(
    chain: Chain, x: Tensor, levels: int, schedule: Schedule, generator: torch.Generator | None
) -> dict[str, Tensor]:
    """The three terms (B,) once."""

    def normal() -> Tensor:
        return torch.randn(x.shape, generator=generator, dtype=x.dtype, device=x.device)

    shift = torch.rand(len(x), generator=generator, dtype=torch.float64, device=x.device)
    integral = x.new_zeros(len(x))
    for i in range(levels):
        log_snr, slope = schedule(chain.sde, (i + shift) / levels)
        error = squared_error(chain.denoiser, chain.sde.kernel(times_at(chain.sde, log_snr)), x, normal())
        integral += (0.5 * slope * log_snr.exp()).to(x.dtype) * error * x[0].numel() / levels
    last = chain.sde.kernel(chain.sde.t_min).perturb(x, normal())
    return {
        "prior": prior_term(chain, x, normal()),
        "diffusion": -integral,
        "reconstruction": reconstruction_term(chain, x, last),
    }
