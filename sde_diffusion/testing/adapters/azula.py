"""azula: its samplers, on a schedule that passes through the given noise levels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.testing.sampler import Denoise, SamplerUnderTest
from solvers.wiener import WienerPath


def sampler(make: Callable[..., Any], name: str, order: float | None = None) -> SamplerUnderTest:
    """A deterministic sampler class of `azula.sample`, or a partial of one."""
    return SamplerUnderTest(name, partial(run, make), order)


def run(
    make: Callable[..., Any], denoise: Denoise, y: Tensor, kappas: Tensor, noise: WienerPath | None = None
) -> Tensor:
    """azula steps to t = 0, where its schedule has the last level."""
    solve = make(_denoiser(denoise, kappas), steps=len(kappas) - 1, silent=True, dtype=torch.float64)
    return solve(y)


def _denoiser(denoise: Denoise, kappas: Tensor) -> Any:
    """The denoiser on the schedule alpha = 1, sigma(1 - i/steps) = kappas[i], straight between the levels."""
    from azula.denoise import Denoiser, DiracPosterior  # pyright: ignore[reportMissingImports]
    from azula.noise import Schedule  # pyright: ignore[reportMissingImports]

    rising = kappas.flip(0)

    class Levels(Schedule):
        def __call__(self, t: Tensor) -> tuple[Tensor, Tensor]:
            return self.alpha(t), self.sigma(t)

        def alpha(self, t: Tensor) -> Tensor:
            return torch.ones_like(t)

        def sigma(self, t: Tensor) -> Tensor:
            place = t.double() * (len(rising) - 1)
            low = place.floor().long().clamp(0, len(rising) - 2)
            return torch.lerp(rising[low], rising[low + 1], place - low)

    levels = Levels()

    class Exact(Denoiser):
        def __init__(self) -> None:
            super().__init__()
            self.schedule = levels

        def forward(self, x_t: Tensor, t: Tensor, **_: Any) -> DiracPosterior:
            return DiracPosterior(mean=denoise(x_t, float(levels.sigma(t))))

    return Exact()
