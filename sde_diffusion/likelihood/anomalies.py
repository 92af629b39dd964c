r"""Out-of-distribution scores of samples: the larger, the less like the data.

    likelihood       -log p(x)
    typicality       |log p(x) - m|, m the mean of log p over calibration samples: too likely is unusual too
    reconstruction   |x - x'|^2/d, x' the flow back from x_t at one noise level
    denoising        at each of several levels, |D(x_t) - x|^2/d; the profile of their logarithms is scored by its
                     Mahalanobis distance from calibration samples'

Scores have no scale of their own; `metrics.p_values` gives them one.

References:
    Nalisnick et al., Detecting Out-of-Distribution Inputs to Deep Generative Models Using Typicality, 2019, https://arxiv.org/abs/1906.02994
    Graham et al., Denoising Diffusion Models for Out-of-Distribution Detection, 2023, https://arxiv.org/abs/2211.07740
    Choi et al., WAIC, but Why? Generative Ensembles for Robust Anomaly Detection, 2018, https://arxiv.org/abs/1810.01392
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.io.finite import finite_rows
from sde_diffusion.likelihood.exact import ENDS, log_likelihood
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sde.base import LinearSDE
from solvers.grids import uniform
from solvers.integrate import FixedGrid

LEVELS = (0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Noise levels sigma/alpha over the data's standard deviation."""


@torch.no_grad()
def denoising_errors(
    sde: LinearSDE,
    denoiser: Denoiser,
    x: Tensor,
    data_std: float = 1.0,
    levels: Sequence[float] = LEVELS,
    draws: int = 8,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean square errors of the denoiser at each level (B, levels), over `draws` noises; the noises are shared by all x."""
    found = []
    for level in levels:
        kernel = sde.kernel(_time(sde, level * data_std))
        noise = torch.randn((draws, *x.shape[1:]), generator=generator, dtype=x.dtype, device=x.device)
        errors = [(denoiser(kernel.perturb(x, z.expand_as(x)), kernel) - x).square().flatten(1).mean(1) for z in noise]
        found.append(torch.stack(errors).mean(0))
    return finite_rows(torch.stack(found, 1), "denoising errors")


@torch.no_grad()
def reconstruction_error(
    sde: LinearSDE,
    denoiser: Denoiser,
    x: Tensor,
    data_std: float = 1.0,
    level: float = 0.8,
    steps: int = 12,
    draws: int = 4,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Mean square distance (B,) between x and where the flow leads from x_t at a noise level, over `draws` noises."""
    form, usual = default_solver(sde, denoiser, steps, data_std)
    time = _time(sde, level * data_std)
    kernel, start = sde.kernel(time), form.clock.from_time(time)
    solver, total = FixedGrid(usual.method, steps, uniform), x.new_zeros(len(x))
    for _ in range(draws):
        noise = torch.randn(x.shape[1:], generator=generator, dtype=x.dtype, device=x.device)
        back = form.solve(solver, kernel.perturb(x, noise.expand_as(x)), start=start) / float(sde.alpha(sde.t_min))
        total += (back - x).square().flatten(1).mean(1)
    return finite_rows(total / draws, "reconstruction errors")


def typicality(log_prob: Tensor, calibration: Tensor) -> Tensor:
    """|log p - mean of the calibration events' log p|, (B,)."""
    return (log_prob - calibration.mean()).abs()


@dataclass(frozen=True)
class Profile:
    """Mean (L,) and precision (L, L) of the logarithms of calibration events' errors."""

    mean: Tensor
    precision: Tensor

    @classmethod
    def of(cls, errors: Tensor) -> Profile:
        """From errors (N, L), N > L; ValueError for fewer events."""
        if len(errors) <= errors.shape[1]:
            raise ValueError(
                f"a profile of {errors.shape[1]} levels needs more events, got {len(errors)}; calibrate on more"
            )
        logs = errors.double().log()
        covariance = logs.mT.cov() + 1e-6 * torch.eye(errors.shape[1], dtype=torch.float64, device=errors.device)
        return cls(logs.mean(0), torch.linalg.inv(covariance))

    def distance(self, errors: Tensor) -> Tensor:
        """Mahalanobis distances (B,) of errors (B, L)."""
        z = errors.double().log() - self.mean
        return torch.einsum("bi,ij,bj->b", z, self.precision, z).clamp(min=0).sqrt()


def ood_scores(
    sde: LinearSDE,
    denoiser: Denoiser,
    calibration: Tensor,
    sets: Mapping[str, Tensor],
    *,
    tol: float = 0.02,
    prior: Any = None,
    data_std: float = 1.0,
    seed: int = 0,
) -> tuple[dict[str, Tensor], dict[str, dict[str, Tensor]]]:
    """(score -> scores of calibration events, score -> set -> scores of its events (B,)), all four scores.

    Two thirds of the calibration events (N, *E), which the model must not have seen, fit the means and the profile; where
    something was fitted, only the others are scored, so that they stand to the fit as any new event of the law does.
    """
    rows, fit = {"": calibration, **sets}, 2 * len(calibration) // 3

    def generator() -> torch.Generator:
        return torch.Generator(calibration.device).manual_seed(seed)

    log_p = {
        name: log_likelihood(sde, denoiser, x, tol, prior=prior, data_std=data_std, seed=seed).without(*ENDS).value
        for name, x in rows.items()
    }
    errors = {name: denoising_errors(sde, denoiser, x, data_std, generator=generator()) for name, x in rows.items()}
    profile = Profile.of(errors[""][:fit])
    found = {
        "likelihood": {name: -value for name, value in log_p.items()},
        "typicality": {name: typicality(value, log_p[""][:fit]) for name, value in log_p.items()},
        "reconstruction": {
            name: reconstruction_error(sde, denoiser, x, data_std, generator=generator()) for name, x in rows.items()
        },
        "denoising": {name: profile.distance(value) for name, value in errors.items()},
    }
    used = {"likelihood": 0, "typicality": fit, "reconstruction": 0, "denoising": fit}
    return {score: by_set.pop("")[used[score] :] for score, by_set in found.items()}, found


def _time(sde: LinearSDE, noise_level: float) -> float:
    """The time at which sigma/alpha is `noise_level`, within the process's range."""
    t = float(sde.time(-2 * math.log(noise_level)))
    return min(max(t, sde.t_min), sde.horizon)
