"""The problem on which samplers are run: a mixture on the line from sigma/alpha = 5 to 0.1, and the noise of its samples."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from sde_diffusion.exact.law import Law
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.exact.reference_flow import flow_end_point
from sde_diffusion.kernel import Kernel
from sde_diffusion.testing.sampler import Denoise, SamplerUnderTest
from solvers.grids import power
from solvers.wiener import KeyedIncrements, PathSpec, WienerPath

SPAN = (5.0, 0.1)
UNEVEN = power(4.0)


def problem() -> tuple[Mixture, Tensor, Tensor]:
    """A mixture on the line, 16 states at the first level, and where the flow carries them; copies, for a sampler may
    write into them.
    """
    law, y, exact = _problem()
    return law, y.clone(), exact.clone()


@cache
def _problem() -> tuple[Mixture, Tensor, Tensor]:
    law = Mixture([0.4, 0.6], [[-1.0], [1.0]], 0.25)
    y = SPAN[0] * torch.special.ndtri((torch.arange(16, dtype=torch.float64)[:, None] + 0.5) / 16)
    return law, y, flow_end_point(law, lambda kappa: Kernel(1.0, kappa), y, *SPAN)


def denoising(law: Law, size: float = 1.0) -> Denoise:
    """The denoiser of a law, or of the law of size times its samples."""
    return lambda y, kappa: size * law.denoise(y / size, Kernel(1.0, kappa / size))


def noise_of(sampler: SamplerUnderTest, rows: Tensor, dtype: torch.dtype = torch.float64) -> WienerPath | None:
    """A path for a stochastic sampler, that belongs to the samples' numbers (B,)."""
    return KeyedIncrements(PathSpec(3, rows, (1,), SPAN[0], 0.0, dtype)) if sampler.stochastic else None


def run(sampler: SamplerUnderTest, steps: int, rows: list[int] | None = None) -> Tensor:
    """Where some of the 16 states end, (B, 1)."""
    law, y, _ = problem()
    chosen = torch.arange(16) if rows is None else torch.tensor(rows)
    return sampler.run(denoising(law), y[chosen], UNEVEN(*SPAN, steps), noise_of(sampler, chosen))
