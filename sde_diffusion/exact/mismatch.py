r"""How far the prior is from where the forward process ends: KL(p_T || prior).

Sampling starts from a Gaussian prior in the place of the true law p_T. By the data-processing inequality the law of the samples, with an exact
score and an exact solver, is no farther from the data than this number of nats.

References:
    Song et al., Maximum Likelihood Training of Score-Based Diffusion Models, 2021, https://arxiv.org/abs/2101.09258, theorem 1
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch

from sde_diffusion.exact.law import Law
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.prior import GaussianPrior

MATTERS = 0.01
"""Nats from which a warning is given: the standard error of a mean log-density over 10,000 samples in two dimensions."""


@dataclass(frozen=True)
class Mismatch:
    """KL(p_T || prior) in nats, and its standard error."""

    kl: float
    error: float


def prior_mismatch(
    law: Law, sde: LinearSDE, prior: GaussianPrior | None = None, samples: int = 20_000, seed: int = 0
) -> Mismatch:
    """KL(p_T || prior) for data of an exact law, by sampling p_T; the process's own prior unless one is given.

    Warns (UserWarning) where it is above 0.01 nats and resolved: the horizon is too short for the data, or the prior does
    not have its mean and variance.
    """
    prior = sde.prior() if prior is None else prior
    end = law.through(sde.kernel(sde.horizon))
    x = end.sample(samples, torch.Generator().manual_seed(seed))
    gap = end.log_prob(x) - prior.log_prob(x)
    found = Mismatch(gap.mean().item(), gap.std().item() / math.sqrt(samples))
    if found.kl > MATTERS + 3 * found.error:
        warnings.warn(
            f"the prior of {type(sde).__name__} is {found.kl:.3g} nats from the law at the horizon {sde.horizon:g}: samples will be biased; "
            "take a longer horizon, or sde.prior(mean, variance) of the data",
            stacklevel=2,
        )
    return found
