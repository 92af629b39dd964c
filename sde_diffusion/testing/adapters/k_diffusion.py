"""k-diffusion: its sampling functions, in their own chart (alpha = 1).

A schedule that ends above zero is integrated to its last level; nothing is denoised afterwards. A stochastic function
must take a `noise_sampler`, and call it for one step at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor

from sde_diffusion.testing.sampler import Denoise, SamplerUnderTest
from solvers.wiener import WienerPath


def sampler(
    function: Callable[..., Tensor], name: str, order: float | None = None, stochastic: bool = False
) -> SamplerUnderTest:
    """A function `sample_*` of k_diffusion.sampling, or a partial of one."""
    return SamplerUnderTest(name, partial(run, function, stochastic), order, stochastic)


def run(
    function: Callable[..., Tensor],
    stochastic: bool,
    denoise: Denoise,
    y: Tensor,
    kappas: Tensor,
    noise: WienerPath | None = None,
) -> Tensor:
    """The function's own loop; its noise is the path's increment of the step, brought to unit variance."""

    def model(x: Tensor, sigma: Tensor, **_: Any) -> Tensor:
        return denoise(x, float(sigma[0]))

    def unit(sigma: Any, sigma_next: Any) -> Tensor:
        assert noise is not None
        t, s = (_nearest(kappas, float(level)) for level in (sigma, sigma_next))
        return noise.increment(t, s) / abs(s - t) ** 0.5

    given = {"noise_sampler": unit} if stochastic else {}
    return function(model, y, kappas, disable=True, **given)


def _nearest(kappas: Tensor, level: float) -> float:
    """The level of the grid that a rounded one belongs to."""
    return kappas[(kappas - level).abs().argmin()].item()
