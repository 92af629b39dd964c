r"""Simulation of the forward process along one Wiener path, and of the reverse process from its end.

The frames are equally spaced in u = sigma/(alpha + sigma), the share of noise, which runs from 0 to nearly 1 for every
process. Between two frames the equations take `substeps` equal steps of time.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.reversal import reverse_sde
from sde_diffusion.sde import LinearSDE
from solvers import EulerMaruyama, ItoSDE, WienerTree, integrate


def frame_times(sde: LinearSDE, count: int) -> list[float]:
    """`count` + 1 times from 0 to the horizon, equally spaced in the share of noise."""
    share = torch.linspace(_share(sde, 0.0), _share(sde, sde.horizon), count + 1, dtype=torch.float64)[1:-1]
    inner = sde.time(2 * (torch.log1p(-share) - share.log()))
    return [0.0, *torch.as_tensor(inner).tolist(), sde.horizon]


def _share(sde: LinearSDE, t: float) -> float:
    return float(sde.sigma(t) / (sde.alpha(t) + sde.sigma(t)))


def simulate_forward(
    sde: LinearSDE, x0: Tensor, times: list[float], seed: int, substeps: int = 8
) -> Iterator[tuple[float, Tensor]]:
    """Yield (t, x_t) at the times, from x0 (B, *E) at times[0]: the forward SDE along a Wiener tree."""
    yield times[0], x0
    yield from _simulate(ItoSDE(sde.drift, sde.diffusion), x0, times, seed, substeps)


def simulate_reverse(
    sde: LinearSDE, denoiser: Denoiser, x: Tensor, times: list[float], seed: int, substeps: int = 8
) -> Iterator[tuple[float, Tensor]]:
    """Yield (t, x_t) at the times from the last down to the first that is at least t_min, by Anderson's reverse SDE."""
    falling = [t for t in reversed(times) if t > sde.t_min] + [sde.t_min]
    yield falling[0], x
    yield from _simulate(reverse_sde(sde, denoiser).equation, x, falling, seed, substeps)


@torch.no_grad()
def _simulate(equation, x: Tensor, times: list[float], seed: int, substeps: int) -> Iterator[tuple[float, Tensor]]:
    steps = [torch.linspace(t, s, substeps + 1, dtype=torch.float64)[1:] for t, s in pairwise(times)]
    grid = torch.cat([torch.tensor(times[:1], dtype=torch.float64), *steps])
    path = WienerTree.like(x, seed, times[0], times[-1])
    for index, (t, state) in enumerate(integrate(EulerMaruyama(), equation, x, grid, path), 1):
        if index % substeps == 0:
            yield t, state
