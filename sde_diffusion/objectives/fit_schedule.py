"""Learn the distribution of noise levels for a given denoiser: the schedule of least variance, by gradient descent."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.objectives.level_schedule import LearnedSchedule
from sde_diffusion.objectives.uniforms import stratified
from sde_diffusion.objectives.variational import squared_error, times_at
from sde_diffusion.sde.base import LinearSDE


def fit_schedule(
    schedule: LearnedSchedule,
    denoiser: Denoiser,
    sde: LinearSDE,
    data: Tensor,
    steps: int = 300,
    batch_size: int = 256,
    learning_rate: float = 0.05,
    generator: torch.Generator | None = None,
) -> LearnedSchedule:
    """Lower the second moment of `ContinuousBound`'s loss on batches of data (N, *E), in place; the schedule is returned.

    The denoiser gets no gradients; they are those of the module `schedule`. Each batch weighs alike: its second moments
    are taken relative to their mean, which changes the length of a step and not its direction.
    """
    optimizer = torch.optim.Adam(schedule.parameters(), lr=learning_rate)
    for _ in range(steps):
        rows = torch.randint(len(data), (batch_size,), generator=generator, device=data.device)
        log_snr, second = _second_moments(schedule, denoiser, sde, data[rows], generator)
        loss = -(second / second.mean() * schedule.log_density(sde, log_snr)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return schedule


@torch.no_grad()
def _second_moments(
    schedule: LearnedSchedule, denoiser: Denoiser, sde: LinearSDE, x0: Tensor, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """(l, (f/q)^2), each (B,)."""
    log_snr, slope = schedule(sde, stratified(x0, generator))
    noise = torch.randn(x0.shape, generator=generator, device=x0.device, dtype=x0.dtype)
    error = squared_error(denoiser, sde.kernel(times_at(sde, log_snr)), x0, noise).double()
    return log_snr, (0.5 * slope * log_snr.exp() * error).square()
