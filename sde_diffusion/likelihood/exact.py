r"""log p(x) of a model to a wanted error: the budget is spent on each point where that point's error is.

The model is the probability flow from the prior at the horizon to t_min, read in the units of the data: what is computed
is the log-density of x_{t_min}/alpha. It is a density of its own, so nothing is lost by stopping there; how far it is
from the density at t = 0 is measured beside it. With kappa = sigma/alpha and D = E[x_0 | .] at t_min, the heat equation
d log p/d(kappa^2) = (lap log p + |grad log p|^2)/2 gives, to first order in kappa^2,

    log p_0(x) - log p(x) = -(div D - d + |D - x|^2/kappa^2)/2.                                                   (1)

Two errors are made, and both are estimated for each point:

    tolerance   of the solver: see `refinement`.
    probes      of the divergence: a few Hutchinson probes show a point's variance s^2; it then gets the s^2/share^2
                probes that it needs, or the exact trace where that is no dearer.

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, appendix D.2 (one probe, which is nearly the whole error)
    Hyvarinen, Estimation of Non-Normalized Statistical Models by Score Matching, 2005,
        https://jmlr.org/papers/v6/hyvarinen05a.html (the bracket of (1) is its objective)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.likelihood.flow import flow_log_prob, upwards
from sde_diffusion.likelihood.log_prob import LogProb
from sde_diffusion.likelihood.refinement import Refined, refine
from sde_diffusion.reversal.form import check_process_and_model
from sde_diffusion.sampling.default_ode import default_solver
from sde_diffusion.sde.base import LinearSDE
from solvers.divergence import Divergence, ExactTrace, Hutchinson
from solvers.equations import select_rows
from solvers.integrate import FixedGrid
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.random import mix

FAMILY = 24
"""The budget whose chart and grid serve every number of steps: grids of one family, or halving the steps tells nothing."""
PILOT = 8
"""Probes from which a point's variance is estimated."""
SMALL = 2 * PILOT
"""Events of up to so many numbers get the exact trace at once."""


@torch.no_grad()
def log_likelihood(
    sde: LinearSDE,
    denoiser: Denoiser,
    x: Tensor,
    tol: float = 1e-3,
    *,
    divergence: Divergence | None = None,
    prior: Any = None,
    data_std: float = 1.0,
    seed: int = 0,
    block: int = 256,
) -> LogProb:
    """log p(x) in nats for x (B, *E), with the errors `probes` and `tolerance` and the terms `truncation` and `calls`.

    Args:
        tol: the standard error wanted for each point, in bits per dimension.
        divergence: an estimator to be used as it is; without one, it is chosen point by point.
        prior: the distribution at the horizon, anything with log_prob; the process's own by default.
        data_std: standard deviation of the data, root mean square over the coordinates.
        block: points solved at once. A point's probes depend on `seed` and its place in x, not on the block.

    `truncation` is (1). `calls` counts, for each point, evaluations of the denoiser and products with its Jacobian. A
    point that misses the tolerance on the finest grid keeps its own larger error. Gradients do not pass: see
    `flow_log_prob`. Raises ValueError for tol <= 0, TypeError or ValueError for data that no process can take.
    """
    if not tol > 0:
        raise ValueError(f"a tolerance is positive, got {tol}; take 1e-3 bits per dimension")
    check_process_and_model("log_likelihood", LinearSDE, sde, denoiser)
    sde.check_data(x)
    if x.ndim < 2:
        raise ValueError(f"x has shape (B, *E), got {tuple(x.shape)}; add the batch axis with x[None]")
    task = _Task(sde, denoiser, prior, data_std, tol * math.log(2) * x[0].numel() / math.sqrt(2), seed)
    numbers = torch.arange(len(x), device=x.device)
    parts = [task.solve(*pair, divergence) for pair in zip(x.split(block), numbers.split(block), strict=True)]
    value, probes, freedom, tolerance, truncation, calls = (torch.cat(part) for part in zip(*parts, strict=True))
    errors = {"probes": probes, "tolerance": tolerance}
    return LogProb(value, x[0].numel(), errors, {"truncation": truncation, "calls": calls}, freedom)


@dataclass(frozen=True)
class _Task:
    """One call's settings; `share` is what each of the two errors may be, in nats."""

    sde: LinearSDE
    denoiser: Denoiser
    prior: Any
    data_std: float
    share: float
    seed: int

    def solve(self, x: Tensor, numbers: Tensor, wanted: Divergence | None) -> tuple[Tensor, ...]:
        """Value, error of the probes, its freedom, error of the solver, truncation, calls, each (B,)."""
        size = x[0].numel()
        pilot = wanted or (ExactTrace() if size <= SMALL else Hutchinson(PILOT))
        found = refine(
            lambda rows, steps: self.columns(x[rows], numbers[rows], pilot, steps, self.seed),
            len(x),
            self.share,
            x.device,
        )
        value, error, freedom = _summary(found.columns)
        calls = found.total.to(x.dtype) * (1 + pilot.cost(size))
        if isinstance(pilot, Hutchinson) and wanted is None:
            for rows, steps, count in _orders(error, found, self.share, size):
                own, more = found.columns[rows], ExactTrace() if count == size else Hutchinson(count)
                new = self.columns(x[rows], numbers[rows], more, steps, mix(self.seed, 1))
                whole = new if count == size else torch.cat((own, new), 1)
                value[rows], error[rows], freedom[rows] = _summary(whole)
                calls[rows] += steps * (1 + more.cost(size))
        return value, error, freedom, found.error, self._truncation(x, numbers, pilot), calls

    def columns(self, x: Tensor, numbers: Tensor, divergence: Divergence, steps: int, seed: int) -> Tensor:
        """Estimates of log p (B, columns), in the data's units, on one grid for all."""
        form, usual = default_solver(self.sde, select_rows(self.denoiser, numbers), FAMILY, self.data_std)
        form = form if self.prior is None else form.with_prior(self.prior)
        solver = FixedGrid(PredictEvaluateCorrect(4), steps, upwards(usual.spacing or form.spacing))
        alpha = float(self.sde.alpha(self.sde.t_min))
        found = flow_log_prob(form, solver, alpha * x, divergence, seed=seed, indices=numbers)
        return found + x[0].numel() * math.log(alpha)

    def _truncation(self, x: Tensor, numbers: Tensor, divergence: Divergence) -> Tensor:
        """Equation (1), (B,)."""
        kernel = Kernel(1.0, math.exp(-0.5 * float(self.sde.log_snr(self.sde.t_min))))
        probes = divergence.probes(x, self.seed, numbers)
        denoiser = select_rows(self.denoiser, numbers)
        data, spread = divergence.along(lambda y: denoiser(y, kernel), x, probes)
        distance = (data - x).flatten(1).square().sum(1) / kernel.sigma**2
        return -0.5 * (spread.mean(1) - x[0].numel() + distance)


def _summary(columns: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean of the columns, its standard error (0 of a single one) and its degrees of freedom, each (B,)."""
    count = columns.shape[1]
    value = columns.mean(1)
    error = columns.std(1) / math.sqrt(count) if count > 1 else torch.zeros_like(value)
    return value, error, torch.full_like(value, max(count - 1, 1))


def _orders(error: Tensor, found: Refined, share: float, size: int) -> Iterator[tuple[Tensor, int, int]]:
    """(rows, steps, further probes), a group at a time, where the pilot's error is above its share.

    Counts are rounded up to powers of two; from half of `size` on, `size` itself stands for the exact trace.
    """
    missing = PILOT * ((error / share) ** 2 - 1)
    count = torch.exp2(missing.clamp(min=1).log2().ceil()).clamp(max=size)
    count = torch.where(2 * count >= size, size, count).long()
    orders = torch.stack((found.steps, torch.where(missing > 0, count, 0)), 1)
    for steps, more in orders.unique(dim=0).tolist():
        if more > 0:
            yield ((orders[:, 0] == steps) & (orders[:, 1] == more)).nonzero()[:, 0], steps, more
