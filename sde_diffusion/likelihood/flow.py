r"""The log-density of the probability flow, and the codes of its points.

A reversal whose equation is deterministic carries the distribution at `stop` (x at t_min) to the prior at `start` (the horizon),
whatever its chart y = x/unit and its time variable. Solved upwards with Liouville's equation,

    log p_stop(x) = log prior(x_start) + d log(unit_start/unit_stop) + integral_stop^start div dy.                 (1)

The chart and the prior are closed forms; a time variable in which the field is smooth, such as that of the scaled velocity
form, therefore costs a fraction of the process's own time.

References:
    Song et al., Score-Based Generative Modeling through Stochastic Differential Equations, 2021,
        https://arxiv.org/abs/2011.13456, equation (39)
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from sde_diffusion.reversal.base import Reversal
from solvers.as_ode import as_ode
from solvers.divergence import Divergence, ExactTrace
from solvers.grids import Spacing
from solvers.integrate import Solver
from solvers.liouville import solve_with_log_density

_EXACT = ExactTrace()


def flow_log_prob(
    reversal: Reversal,
    solver: Solver,
    x: Tensor,
    divergence: Divergence = _EXACT,
    *,
    seed: int = 0,
    indices: Tensor | None = None,
) -> Tensor:
    """Equation (1) at x (B, *E), points at t_min, in nats: one estimate for each of the divergence's (B, columns).

    `solver` runs from `reversal.stop` up to `reversal.start`; a spacing made for sampling is turned by `upwards`.
    Gradients pass where the caller has them on. Raises TypeError for a stochastic equation.
    """
    end, change = to_horizon(reversal, solver, x, divergence, seed=seed, indices=indices)
    return reversal.prior.log_prob(end)[:, None] + change


def to_horizon(
    reversal: Reversal,
    solver: Solver,
    x: Tensor,
    divergence: Divergence = _EXACT,
    *,
    seed: int = 0,
    indices: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """(x at the horizon (B, *E), log p_stop(x) - log p_start of it (B, columns)), equation (1) without its prior."""
    y, integrals = solve_with_log_density(
        solver, reversal.equation, reversal.to_chart(x, reversal.stop), reversal.stop, reversal.start, divergence,
        seed, indices,
    )  # fmt: skip
    stretch = math.log(unit(reversal, reversal.start) / unit(reversal, reversal.stop))
    return reversal.from_chart(y, reversal.start), integrals + x[0].numel() * stretch


def unit(reversal: Reversal, reading: float) -> float:
    """The x that the chart calls 1."""
    return reversal.from_chart(torch.ones(1, 1, dtype=torch.float64), reading).item()


def upwards(spacing: Spacing) -> Spacing:
    """The same times, from the data to the noise."""
    return lambda start, stop, steps: spacing(stop, start, steps).flip(0)


def encode(reversal: Reversal, solver: Solver, x: Tensor) -> Tensor:
    """The code z (B, *E) of x at t_min, standard normal under the model: prior.from_noise(z) flows to x."""
    x_T, origin = _flow(reversal).solve(solver, x, start=reversal.stop, stop=reversal.start), torch.zeros_like(x[:1])
    mean = reversal.prior.from_noise(origin)
    return (x_T - mean) / (reversal.prior.from_noise(origin + 1) - mean)


def decode(reversal: Reversal, solver: Solver, z: Tensor) -> Tensor:
    """The x at t_min (B, *E) whose code is z."""
    return _flow(reversal).solve(solver, reversal.prior.from_noise(z))


def _flow(reversal: Reversal) -> Reversal:
    """The same with its equation as an `ODE`, which every deterministic solver takes; TypeError for a stochastic one."""
    return replace(reversal, equation=as_ode(reversal.equation, "a code"))


def interpolate(z0: Tensor, z1: Tensor, weights: Tensor) -> Tensor:
    """Codes between two (*E) along the great circle, (W, *E) for weights (W,): every one of a normal code's length.

    References:
        White, Sampling Generative Networks, 2016, https://arxiv.org/abs/1609.04468, section 2.1
    """
    a, b = z0.flatten(), z1.flatten()
    angle = torch.arccos((a @ b / (a.norm() * b.norm())).clamp(-1, 1))
    w = weights[:, None].to(a)
    if angle.sin() < 1e-6:
        return torch.lerp(a, b, w).unflatten(1, z0.shape)
    return ((((1 - w) * angle).sin() * a + (w * angle).sin() * b) / angle.sin()).unflatten(1, z0.shape)
