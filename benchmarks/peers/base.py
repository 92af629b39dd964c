"""What a peer's setting is: a solver of the probability flow in the chart y = x/alpha, kappa = sigma/alpha.

Every library has its own chart and its own idea of a schedule. All of them are given the same noise levels, in float64,
and the same denoiser D(y, kappa) = E[x_0 | y]; each adapter translates to its library's conventions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.testing.sampler import Denoise


@dataclass(frozen=True)
class Peer:
    """One solver of one library.

    Attributes:
        library, solver: names for the table.
        run: (denoise, y, kappas) -> y at kappas[-1], with kappas (steps + 1,) decreasing.
        calls: denoiser calls a step.
        extra: denoiser calls beside those of the steps (a final step by Euler's method has one instead of two: -1).
    """

    library: str
    solver: str
    run: Callable[[Denoise, Tensor, Tensor], Tensor]
    calls: int = 1
    extra: int = 0

    def steps(self, nfe: int) -> int | None:
        """The number of steps that costs exactly `nfe` denoiser calls; None where there is none."""
        steps, rest = divmod(nfe - self.extra, self.calls)
        return steps if rest == 0 and steps >= 1 else None
