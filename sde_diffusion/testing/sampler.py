"""What the kit takes as a sampler, from any library: from the denoiser, a state and the noise levels to a state.

Every library has its own chart and its own idea of a schedule. All are given the chart y = x/alpha, the levels
kappa = sigma/alpha in float64 and one denoiser D(y, kappa) = E[x_0 | y]; an adapter translates.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.edm import EDM
from solvers.grids import fixed
from solvers.integrate import FixedGrid
from solvers.method import Method
from solvers.wiener import WienerPath

Denoise = Callable[[Tensor, float], Tensor]
Run = Callable[[Denoise, Tensor, Tensor, WienerPath | None], Tensor]
"""(denoise, y, kappas, noise) -> y at kappas[-1], with kappas (steps + 1,) decreasing and noise a path in kappa."""


@dataclass(frozen=True)
class SamplerUnderTest:
    """A sampler under test.

    Attributes:
        name: for the report.
        run: see `Run`. A deterministic sampler leaves `noise` alone.
        order: the order that its authors declare (weak, for a stochastic one); None if they declare none.
        stochastic: whether it uses the noise.
    """

    name: str
    run: Run
    order: float | None = None
    stochastic: bool = False


def ours(
    name: str, make: Callable[[LinearSDE, Denoiser], Reversal], method: Method, order: float | None = None
) -> SamplerUnderTest:
    """A reversal and a method of this library: `ours("DDIM", data_form, ExponentialEuler(), 1)`."""
    stochastic = make(EDM(), _Known(lambda y, kappa: y)).equation.stochastic

    def run(denoise: Denoise, y: Tensor, kappas: Tensor, noise: WienerPath | None = None) -> Tensor:
        times = kappas.tolist()
        reversal = make(EDM(horizon=times[0], t_min=times[-1] or times[-2]), _Known(denoise))
        read = [reversal.clock.from_time(t) for t in (times if times[-1] > 0 else times[:-1])]
        path = None if noise is None or not stochastic else _OnClock(noise, dict(zip(read, times, strict=False)))
        start = reversal.to_chart(y, read[0])
        if len(read) > 1:
            grid = torch.tensor(read, dtype=torch.float64)
            start = FixedGrid(method, len(read) - 1, fixed(grid))(reversal.equation, start, read[0], read[-1], path)
        end = reversal.from_chart(start, read[-1])
        return end if times[-1] > 0 else denoise(end, times[-2])

    return SamplerUnderTest(name, run, order, stochastic)


class _Known(Denoiser):
    """A function D(y, kappa) as a `Denoiser`."""

    def __init__(self, denoise: Denoise) -> None:
        super().__init__()
        self.denoise = denoise

    def forward(self, x_t: Tensor, kernel: Kernel, **condition: object) -> Tensor:
        alpha = float(kernel.alpha)
        return self.denoise(x_t / alpha, float(kernel.sigma) / alpha)


class _OnClock(WienerPath):
    """A path in kappa, evaluated at the times of another time variable: unit noise of a step, rescaled."""

    def __init__(self, path: WienerPath, levels: dict[float, float]) -> None:
        self.path, self.levels = path, levels

    def increment(self, t, s):
        a, b = self.levels[float(t)], self.levels[float(s)]
        return self.path.increment(a, b) * (abs(s - t) / abs(b - a)) ** 0.5

    def channel(self, k):
        return _OnClock(self.path.channel(k), self.levels)
