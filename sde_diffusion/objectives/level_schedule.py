r"""Which noise levels a loss draws: a monotone map from u in [0, 1) to the log-SNR l, and the density that it stands for.

The integral of a loss over l between the ends of a process does not depend on how l is drawn; its variance does. A map
u -> l(u), falling from l(t_min) to l(horizon), draws l with the density 1/|dl/du|, so that

    integral f(l) dl = E_u[f(l(u)) |dl/du|],    and the variance is least for a density in proportion to E[f^2]^(1/2). (1)

`LearnedSchedule` is a density constant on equal bins of l. Its variance is lowered by gradient descent on the second
moment integral E[f^2]/q dl, whose gradient is -E[(f/q)^2 grad log q]: no gradient passes through the denoiser.

References:
    Kingma et al., Variational Diffusion Models, 2021, https://arxiv.org/abs/2107.00630, section 5.1 and appendix I
    Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672, section 3.3
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sde_diffusion.sde.base import LinearSDE

Schedule = Callable[[LinearSDE, Tensor], tuple[Tensor, Tensor]]
"""(sde, u in [0, 1), shape (B,)) -> (l, |dl/du|), each (B,), float64."""


def ends(sde: LinearSDE) -> tuple[float, float]:
    """(l at t_min, l at the horizon)."""
    return float(sde.log_snr(sde.t_min)), float(sde.log_snr(sde.horizon))


def linear_schedule(sde: LinearSDE, quantile: Tensor) -> tuple[Tensor, Tensor]:
    """l linear in u."""
    high, low = ends(sde)
    return high + (low - high) * quantile, torch.full_like(quantile, high - low)


class LearnedSchedule(nn.Module):
    """A piecewise linear map of `bins` pieces, equal bins of l with shares softmax(logits); it begins linear."""

    def __init__(self, bins: int = 32) -> None:
        """Raises ValueError for fewer than two bins."""
        super().__init__()
        if bins < 2:
            raise ValueError(f"a schedule that can be learned has at least 2 bins, got {bins}; give 32")
        self.logits = nn.Parameter(torch.zeros(bins, dtype=torch.float64))

    @classmethod
    def for_losses(cls, losses: Tensor) -> LearnedSchedule:
        """Loss-aware: the density (1) for second moments E[f^2] > 0 measured in each bin (bins,), from l(t_min) down."""
        schedule = cls(len(losses))
        with torch.no_grad():
            schedule.logits.copy_(0.5 * losses.double().log())
        return schedule

    def forward(self, sde: LinearSDE, quantile: Tensor) -> tuple[Tensor, Tensor]:
        """(l, |dl/du|), each (B,), without gradients."""
        share = self.logits.detach().softmax(0)
        edges = torch.cat((share.new_zeros(1), share.cumsum(0)))
        bin_ = (torch.searchsorted(edges, quantile.double(), right=True) - 1).clamp(0, len(share) - 1)
        within = (quantile - edges[bin_]) / share[bin_]
        high, low = ends(sde)
        width = (high - low) / len(share)
        return high - width * (bin_ + within), width / share[bin_]

    def log_density(self, sde: LinearSDE, log_snr: Tensor) -> Tensor:
        """log q(l), (B,), with gradients to the logits."""
        high, low = ends(sde)
        width = (high - low) / len(self.logits)
        bin_ = ((high - log_snr) / width).long().clamp(0, len(self.logits) - 1)
        return self.logits.log_softmax(0)[bin_] - torch.log(torch.as_tensor(width))
