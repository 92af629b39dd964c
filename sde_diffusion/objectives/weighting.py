r"""Weightings and time distributions of denoising score matching.

A loss is E_t[w(t) |D(x_t) - x_0|^2]. Written for the denoiser, the usual weightings are, with snr = alpha^2/sigma^2,

    simple       snr                            |eps_hat - eps|^2, DDPM's L_simple
    likelihood   g^2 snr/sigma^2                g^2 |s_hat - s|^2, twice the bound on -log p a unit of time
    edm          (kappa^2 + d^2)/(kappa d)^2    kappa = sigma/alpha, d = data_std
    min_snr      min(snr, gamma)
    flow         (1 + sqrt(snr))^2              |u_hat - u|^2 with u = eps - x_0, of rectified flow
    p2           snr/(k + snr)^gamma            less weight where the noise hides no more than details
    sigmoid      snr sigmoid(bias - log snr)    of an integral over log snr, see below

and a time distribution says where t is drawn. The loss w(l) of an integral over l = log snr is drawn with `uniform_log_snr`;
for times uniform in t it has the weight w |dl/dt| = w g^2/sigma^2 (`OverLogSNR`), of which `likelihood` is the case w = snr.

References:
    Ho, Jain & Abbeel, Denoising Diffusion Probabilistic Models, 2020, https://arxiv.org/abs/2006.11239, equation (14)
    Song et al., Maximum Likelihood Training of Score-Based Diffusion Models, 2021, https://arxiv.org/abs/2101.09258
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, table 1
    Choi et al., Perception Prioritized Training of Diffusion Models, 2022, https://arxiv.org/abs/2204.00227
    Hang et al., Efficient Diffusion Training via Min-SNR Weighting Strategy, 2023, https://arxiv.org/abs/2303.09556
    Kingma & Gao, Understanding Diffusion Objectives as the ELBO with Simple Data Augmentation, 2023,
        https://arxiv.org/abs/2303.00848 (weightings over log snr; sigmoid)
    Hoogeboom et al., Simpler Diffusion (SiD2), 2024, https://arxiv.org/abs/2410.19324 (sigmoid)
    Esser et al., Scaling Rectified Flow Transformers for High-Resolution Image Synthesis, 2024,
        https://arxiv.org/abs/2403.03206, section 3.1 (logit-normal times)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.objectives.kinds import Times, Weights
from sde_diffusion.sde.base import LinearSDE

Weighting = Callable[[LinearSDE, Tensor], Weights]
"""(sde, times (B,)) -> weights (B,), both float64."""

TimeDistribution = Callable[[LinearSDE, Tensor], Times]
"""(sde, uniform numbers in [0, 1), shape (B,)) -> times (B,) in [t_min, horizon]."""


def simple(sde: LinearSDE, t: Tensor) -> Weights:
    """The SNR."""
    return torch.exp(torch.as_tensor(sde.log_snr(t)))


def likelihood(sde: LinearSDE, t: Tensor) -> Weights:
    """g^2 snr/sigma^2."""
    return torch.as_tensor(sde.g(t) ** 2 / sde.sigma(t) ** 2) * simple(sde, t)


@dataclass(frozen=True)
class EDMWeighting:
    """(kappa^2 + d^2)/(kappa d)^2: unit weight on the network's own target in EDM's preconditioning."""

    data_std: float = 0.5

    def __call__(self, sde: LinearSDE, t: Tensor) -> Weights:
        """Weights (B,)."""
        return simple(sde, t) + 1 / self.data_std**2


@dataclass(frozen=True)
class MinSNR:
    """min(snr, gamma)."""

    gamma: float = 5.0

    def __call__(self, sde: LinearSDE, t: Tensor) -> Weights:
        """Weights (B,)."""
        return simple(sde, t).clamp(max=self.gamma)


def flow(sde: LinearSDE, t: Tensor) -> Weights:
    """(1 + sqrt(snr))^2: unit weight on the velocity eps - x_0."""
    return (1 + torch.exp(0.5 * torch.as_tensor(sde.log_snr(t)))).square()


@dataclass(frozen=True)
class P2:
    """snr/(k + snr)^gamma: the error of the noise over (k + snr)^gamma; gamma 1 and 0.5 are the paper's."""

    gamma: float = 1.0
    k: float = 1.0

    def __call__(self, sde: LinearSDE, t: Tensor) -> Weights:
        """Weights (B,)."""
        snr = simple(sde, t)
        return snr / (self.k + snr) ** self.gamma


@dataclass(frozen=True)
class Sigmoid:
    """snr sigmoid(bias - log snr) = e^bias sigmoid(log snr - bias), of an integral over log snr."""

    bias: float = 0.0

    def __call__(self, sde: LinearSDE, t: Tensor) -> Weights:
        """Weights (B,)."""
        return math.exp(self.bias) * torch.sigmoid(torch.as_tensor(sde.log_snr(t)) - self.bias)


@dataclass(frozen=True)
class OverLogSNR:
    """A weighting of an integral over log snr, for times that are uniform in t: times |d log snr/dt| = g^2/sigma^2."""

    weighting: Weighting = simple

    def __call__(self, sde: LinearSDE, t: Tensor) -> Weights:
        """Weights (B,)."""
        return torch.as_tensor(sde.g(t) ** 2 / sde.sigma(t) ** 2) * self.weighting(sde, t)


def uniform_time(sde: LinearSDE, u: Tensor) -> Times:
    """t uniform on [t_min, horizon]."""
    return sde.t_min + (sde.horizon - sde.t_min) * u


def uniform_log_snr(sde: LinearSDE, u: Tensor) -> Times:
    """log-SNR uniform between its values at t_min and at the horizon."""
    low, high = float(sde.log_snr(sde.horizon)), float(sde.log_snr(sde.t_min))
    return _within(sde, sde.time(high + (low - high) * u))


@dataclass(frozen=True)
class LogNormalLevel:
    """log(sigma/alpha) normal with EDM's mean and deviation, cut to the process's range."""

    mean: float = -1.2
    std: float = 1.2

    def __call__(self, sde: LinearSDE, u: Tensor) -> Times:
        """Times (B,), by the inverse distribution function between the ends of the range."""
        normal = torch.distributions.Normal(self.mean, self.std)
        low, high = (_cdf(normal, -0.5 * float(sde.log_snr(t))) for t in (sde.t_min, sde.horizon))
        level = normal.icdf((low + (high - low) * u).clamp(1e-12, 1 - 1e-12))
        return _within(sde, sde.time(-2 * level))


@dataclass(frozen=True)
class LogitNormal:
    """The time sigma/(alpha + sigma) of rectified flow is logit-normal, cut to the process's range.

    Its logit is log(sigma/alpha), so that this is `LogNormalLevel` under the names of Esser et al., with their usual values.
    """

    mean: float = 0.0
    std: float = 1.0

    def __call__(self, sde: LinearSDE, u: Tensor) -> Times:
        """Times (B,)."""
        return LogNormalLevel(self.mean, self.std)(sde, u)


def _cdf(normal: torch.distributions.Normal, level: float) -> float:
    return normal.cdf(torch.tensor(level, dtype=torch.float64)).item()


def _within(sde: LinearSDE, t) -> Tensor:
    return torch.as_tensor(t).clamp(sde.t_min, sde.horizon)
