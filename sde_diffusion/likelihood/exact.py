r"""log p(x) to a wanted error: the budget is spent on each point where that point's error is.

What is computed is the log-density at x of the law whose denoiser this is: an `ExactDenoiser` of a law gives that law's own
log p(x). The probability flow carries x from t_min to the horizon. What it leaves out at its two ends is read off the
denoiser and added, and each addition is a term of its own (see `ends`):

    prior        log p_T - log prior, where the flow ends: the prior is seldom the law of the data at the horizon.
    truncation   log p_0(x) - log p(x) of x_{t_min}/alpha, the steps that the flow does not take.

Without them, `found.without("prior", "truncation")`, it is the log-density of another law: of the samples x_{t_min}/alpha
that the flow makes of the prior. That one is normalised whatever the network has learned.

Four errors are made, and all are estimated for each point:

    probes       of the divergence: a few Hutchinson probes show a point's variance s^2; it then gets the s^2/share^2
                 probes that it needs, or the exact trace where that is no dearer.
    tolerance    of the solver: see `refinement`.
    prior, truncation   of the two additions.

How well a network has learned the law of its data is no part of them.

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, appendix D.2 (one probe, which is nearly the whole error)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.likelihood.ends import PROBES, SMALL, Ends
from sde_diffusion.likelihood.flow import to_horizon, upwards
from sde_diffusion.likelihood.log_prob import LogProb
from sde_diffusion.likelihood.refinement import FAMILY, Refined, Solved, refine
from sde_diffusion.reversal.form import check_process_and_model
from sde_diffusion.sampling.default_ode import default_solver, method
from sde_diffusion.sde.base import LinearSDE
from solvers.divergence import Divergence, ExactTrace, Hutchinson
from solvers.equations import select_rows
from solvers.integrate import FixedGrid, Solver, as_state
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.random import mix
from solvers.replay import Recording, Replay

ENDS = ("prior", "truncation")
"""The terms that make the law's log-density of that of the flow's samples: see `LogProb.without`."""
FEWEST_FIELDS = 3
"""The predictor's fields on the coarsest grid, one more than for samples: the integral of the divergence is smooth."""


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
    """log p(x) in nats for x (B, *E) of the denoiser's law, with its errors and the terms `prior`, `truncation`, `calls`.

    Args:
        tol: the standard error wanted for each point, in bits per dimension.
        divergence: an estimator to be used as it is; without one, it is chosen point by point.
        prior: the distribution at the horizon, anything with log_prob; the process's own by default. It decides the term
            `prior` alone: the sum is the law's whatever it is.
        data_std: standard deviation of the data, root mean square over the coordinates.
        block: points solved at once. A point's probes depend on `seed` and its place in x, not on the block.

    `calls` counts, for each point, evaluations of the denoiser and products with its Jacobian. A point that misses the
    tolerance on the finest grid keeps its own larger error. Gradients do not pass: see `flow_log_prob`. Raises ValueError for
    tol <= 0, TypeError or ValueError for data that no process can take.
    """
    if not tol > 0:
        raise ValueError(f"a tolerance is positive, got {tol}; take 1e-3 bits per dimension")
    check_process_and_model("log_likelihood", LinearSDE, sde, denoiser)
    sde.check_data(x)
    if x.ndim < 2:
        raise ValueError(f"x has shape (B, *E), got {tuple(x.shape)}; add the batch axis with x[None]")
    x = as_state(x)
    task = _Task(sde, denoiser, prior, data_std, tol * math.log(2) * x[0].numel(), seed)
    numbers = torch.arange(len(x), device=x.device)
    parts = [task.solve(*pair, divergence) for pair in zip(x.split(block), numbers.split(block), strict=True)]
    return LogProb.joined(parts)


@dataclass(frozen=True)
class _Task:
    """One call's settings; `wanted` is the standard error that each point may have, in nats."""

    sde: LinearSDE
    denoiser: Denoiser
    prior: Any
    data_std: float
    wanted: float
    seed: int

    def solve(self, x: Tensor, numbers: Tensor, given: Divergence | None) -> LogProb:
        """log p of one block."""
        size = x[0].numel()
        pilot = given or (ExactTrace() if size <= SMALL else Hutchinson(PROBES))
        share = self.wanted / math.sqrt(1 if isinstance(pilot, ExactTrace) else 2)
        found = refine(
            lambda rows, steps: self.on_grid(x[rows], numbers[rows], pilot, steps, self.seed), len(x), share, x.device
        )
        value, error, freedom = _summary(found.columns)
        calls = found.total.to(x.dtype) * (1 + pilot.cost(size))
        if isinstance(pilot, Hutchinson) and given is None:
            for rows, steps, count in _orders(error, found, share, size):
                own, more = found.columns[rows], ExactTrace() if count == size else Hutchinson(count)
                new = self.on_grid(x[rows], numbers[rows], more, steps, mix(self.seed, 1)).columns
                whole = new if count == size else torch.cat((own, new), 1)
                value[rows], error[rows], freedom[rows] = _summary(whole)
                calls[rows] += steps * (1 + more.cost(size))
        errors = {"probes": error, "tolerance": found.error}
        return self._with_ends(LogProb(value, size, errors, {"calls": calls}, freedom), x, numbers, found.end, pilot)

    def on_grid(self, x: Tensor, numbers: Tensor, divergence: Divergence, steps: int, seed: int) -> Solved:
        """Estimates of log p (B, columns) of x_{t_min}/alpha under the prior, on one grid for all."""
        family = min(steps, FAMILY)
        form, usual = default_solver(self.sde, select_rows(self.denoiser, numbers), family, self.data_std)
        form = form if self.prior is None else form.with_prior(self.prior)
        spacing, fields = upwards(usual.spacing or form.spacing), {}
        fine = FixedGrid(PredictEvaluateCorrect(max(FEWEST_FIELDS, method(family).k)), steps, spacing)
        trapezoid = FixedGrid(PredictEvaluateCorrect(1), steps, spacing)
        alpha = float(self.sde.alpha(self.sde.t_min))

        def solve(solver: Solver) -> tuple[Tensor, Tensor]:
            end, change = to_horizon(form, solver, alpha * x, divergence, seed=seed, indices=numbers)
            return end, form.prior.log_prob(end)[:, None] + change + x[0].numel() * math.log(alpha)

        end, columns = solve(Recording(fine, fields))
        return Solved(columns, solve(Replay(trapezoid, fields))[1], end)

    def _with_ends(self, found: LogProb, x: Tensor, numbers: Tensor, end: Tensor, divergence: Divergence) -> LogProb:
        """The same with both ends added."""
        ends = Ends(self.sde, self.denoiser, self.wanted, self.seed)
        prior = self.sde.prior() if self.prior is None else self.prior
        last, first = ends.horizon(end, numbers), ends.truncation(x, numbers, divergence)
        added = {"prior": last.value - prior.log_prob(end), "truncation": first.value}
        return LogProb(
            found.value + added["prior"] + added["truncation"],
            found.size,
            {**found.errors, "prior": last.error, "truncation": first.error},
            {**added, "calls": found.terms["calls"] + last.calls + first.calls},
            found.freedom,
        )


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
    missing = PROBES * ((error / share) ** 2 - 1)
    count = torch.exp2(missing.clamp(min=1).log2().ceil()).clamp(max=size)
    count = torch.where(2 * count >= size, size, count).long()
    orders = torch.stack((found.steps, torch.where(missing > 0, count, 0)), 1)
    for steps, more in orders.unique(dim=0).tolist():
        if more > 0:
            yield ((orders[:, 0] == steps) & (orders[:, 1] == more)).nonzero()[:, 0], steps, more
