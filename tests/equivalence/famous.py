"""The implementations of diffusers, run on our tables, our denoiser and our noise.

diffusers keeps its tables in float32 whatever the samples' dtype. So that algorithms are compared and not the rounding
of tables, each scheduler is handed the same table in float64 through its public attribute (`alphas_cumprod`,
`sigmas`); the formulas that run are its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.kernel import Kernel
from sde_diffusion.sde import DDPM
from solvers import FixedGrid, WienerPath, fixed

CHAIN = DDPM()
DENOISER = ExactDenoiser(two())
BATCH = 64


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Given(WienerPath):
    """Noise from outside: the k-th question is answered with the k-th of the given unit normals."""

    def __init__(self, normals: Iterator[Tensor]):
        self.normals = normals

    def increment(self, t, s):
        return next(self.normals) * abs(s - t) ** 0.5

    def channel(self, k):
        raise ValueError("given noise has one channel")


def stream(seed: int) -> Iterator[Tensor]:
    """What `torch.randn(..., generator=g)` gives call after call, for a generator of that seed."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn((BATCH, 2), generator=generator, dtype=torch.float64)


def chain_kernel(step: int) -> Kernel:
    """The channel of DDPM's step 0..999, diffusers' numbering (our node step + 1)."""
    return CHAIN.kernel(CHAIN.node(step + 1))


def chain_noise(x: Tensor, step: int) -> Tensor:
    """The exact prediction of eps at a step of the chain."""
    kernel = chain_kernel(step)
    return kernel.noise(x, DENOISER(x, kernel))


def on_our_chain(scheduler, steps: int):
    """A scheduler of DDPM's family on `steps` of the chain's nodes, its table in float64."""
    scheduler.alphas_cumprod = torch.tensor([CHAIN.alpha_bar(i + 1) for i in range(CHAIN.steps)], dtype=torch.float64)
    scheduler.set_timesteps(steps)
    return scheduler


def run(scheduler, predict: Callable[[Tensor, int], Tensor], x: Tensor, **options) -> Tensor:
    """diffusers' own loop over scheduler.step."""
    for t in scheduler.timesteps:
        x = scheduler.step(predict(x, t.item()), t.item(), x, **options).prev_sample
    return x


def ours(reversal, method, readings, x: Tensor, noise: WienerPath | None = None) -> Tensor:
    """Our x at the last of the clock's readings, from x at the first."""
    solver = FixedGrid(method, len(readings) - 1, fixed(readings))
    return reversal.solve(solver, x, noise, start=readings[0], stop=readings[-1])
