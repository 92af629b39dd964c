"""Laws, points and exact answers that the tests of likelihoods share."""

from __future__ import annotations

import math
from functools import cache

import torch
from torch import Tensor

from sde_diffusion.exact import Gaussian, Law
from sde_diffusion.exact.problems import two
from sde_diffusion.sde import LinearSDE


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plane() -> Gaussian:
    return Gaussian([0.4, -0.8], [[1.0, 0.6], [0.6, 0.8]])


@cache
def wide() -> Gaussian:
    """64 correlated coordinates, variances from 0.05 to about 4."""
    root = torch.randn(64, 64, generator=rng(), dtype=torch.float64)
    return Gaussian(torch.zeros(64), root @ root.mT / 64 + 0.05 * torch.eye(64))


LAWS = {"plane": plane, "two": two, "wide": wide}


def stopped(law: Law, sde: LinearSDE, x: Tensor) -> Tensor:
    """The exact log-density of x_{t_min}/alpha, which is what a flow from t_min knows, (B,)."""
    kernel = sde.kernel(sde.t_min)
    return law.through(kernel).log_prob(kernel.alpha * x) + x[0].numel() * math.log(kernel.alpha)


def end(law: Law, sde: LinearSDE) -> Law:
    """The exact law at the horizon, in the place of the prior."""
    return law.through(sde.kernel(sde.horizon))


def bits(nats: Tensor, x: Tensor) -> Tensor:
    return nats / (math.log(2) * x[0].numel())
