r"""Grids laid out in the time of another process, or on the nodes of a discrete chain.

A noise level sigma/alpha has a time in every process, so that one process's grid serves all of them: the grid that is
quadratic in VP time, the cosine grid (uniform in the cosine process's time), the grid of rectified flow. Each function
returns a spacing for a time variable of the sampling process, its own time by default:

    form = velocity_form(sde, denoiser)
    FixedGrid(AdamsBashforth(4), 20, quadratic_in_vp_time(sde, form.clock))

References:
    Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672
    Lin et al., Common Diffusion Noise Schedules and Sample Steps are Flawed, 2023, https://arxiv.org/abs/2305.08891,
        table 2 (leading and trailing)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sde_diffusion.reversal.base import SDE_TIME, Clock, in_log_snr
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.ddpm import DDPM
from sde_diffusion.sde.vp import VP
from solvers.grids import Spacing, power, through, uniform


def in_time_of(other: LinearSDE, sde: LinearSDE, clock: Clock = SDE_TIME, spacing: Spacing = uniform) -> Spacing:
    """A grid laid out in another process's time, at the same noise levels, as a grid of the given time variable of `sde`."""
    same = through(lambda t: float(other.time(sde.log_snr(t))), lambda t: float(sde.time(other.log_snr(t))), spacing)
    return clock.spacing(same)


def quadratic_in_vp_time(sde: LinearSDE, clock: Clock = SDE_TIME) -> Spacing:
    """sqrt(t) is uniform, with t the time of the VP process of rate 0.1 .. 20 at the same noise level."""
    return in_time_of(VP(), sde, clock, power(2))


def cosine(sde: LinearSDE, clock: Clock = SDE_TIME, data_std: float = 1.0) -> Spacing:
    """The angle arctan(sigma/(alpha data_std)) is uniform: for unit data, equal steps of the cosine process's time."""
    angle = through(lambda r: math.atan(math.exp(r) / data_std), lambda a: math.log(data_std * math.tan(a)))
    return in_log_snr(sde, clock, angle)


def leading(chain: DDPM, clock: Clock = SDE_TIME) -> Spacing:
    """The nodes 1 + i floor(N/steps), i = 0, 1, ..., counted up from the first, and then the chain's last node N.

    With the start at the first of them below N, as published, the prior would meet the wrong noise level.
    """
    return _on_nodes(chain, clock, lambda i, steps: 1 + i * (chain.steps // steps))


def trailing(chain: DDPM, clock: Clock = SDE_TIME) -> Spacing:
    """The nodes N - i N/steps, rounded, counted down from the chain's last, and then the first."""
    return _on_nodes(chain, clock, lambda i, steps: round(i * chain.steps / steps))


def _on_nodes(chain: DDPM, clock: Clock, node: Callable[[int, int], int]) -> Spacing:
    """A spacing over the whole chain whose inner times are the nodes number node(i, steps), i = 1 .. steps - 1."""

    def in_time(start: float, stop: float, steps: int) -> Tensor:
        if not 1 <= steps <= chain.steps // 2:
            raise ValueError(
                f"a chain of {chain.steps} nodes is sampled in 1 to {chain.steps // 2} steps, got {steps}; "
                "ask for fewer, or use uniform"
            )
        inner = [chain.node(node(i, steps)) for i in range(steps - 1, 0, -1)]
        if not start > max(inner, default=stop) >= min(inner, default=stop) >= stop:
            raise ValueError(
                f"a chain's grid runs down through its nodes, got a run from {start:g} to {stop:g}; "
                "start at the horizon and stop at t_min"
            )
        return torch.tensor([start, *inner, stop], dtype=torch.float64)

    return clock.spacing(in_time)
