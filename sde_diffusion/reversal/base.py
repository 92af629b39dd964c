"""A sampler is an equation, a time variable, a method and a time grid; a `Reversal` is the equation and the time variable.

The equation's state y is x in other coordinates (y = x, y = x/alpha, ...), its chart. Its time variable u is the SDE's time
t or a monotone function of it (log(sigma/alpha), ...), its `Clock`. `to_chart` and `from_chart` take x to y and back at u.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor

from sde_diffusion.sde.base import SDE, LinearSDE
from sde_diffusion.sde.prior import GaussianPrior
from solvers.elementwise import Coefficient, scale
from solvers.equations import Equation, select_rows
from solvers.grids import Spacing, tapered, through, uniform
from solvers.integrate import Solver, state_dtype
from solvers.wiener import WienerPath

Model = Callable[..., Tensor]


def keep(x: Tensor, u: float) -> Tensor:
    """The chart y = x, and the finish that leaves x as it is."""
    return x


@dataclass(frozen=True)
class Clock:
    """A time variable: `from_time` takes the SDE's time t to it, `to_time` takes it back; both are monotone."""

    from_time: Callable[[float], Any]
    to_time: Callable[[float], Any]

    def spacing(self, in_time: Spacing) -> Spacing:
        """A grid laid out in the SDE's time t, as a grid of this time variable."""
        return through(self.to_time, self.from_time, in_time)


DEFAULT_LEVELS = tapered(0.3, 1.0, 0.5)
"""The default time grid in sigma/alpha: its root is uniform below 0.3, the root of its logarithm above (decision 14)."""

SDE_TIME = Clock(float, float)
"""The SDE's own time."""


def noise_clock(sde: LinearSDE) -> Clock:
    """log(sigma/alpha), the time variable in which the data form and the noise form have constant linear parts."""
    return Clock(lambda t: -0.5 * sde.log_snr(t), lambda u: sde.time(-2 * u))


def in_log_snr(sde: LinearSDE, clock: Clock = SDE_TIME, spacing: Spacing = uniform) -> Spacing:
    """A grid laid out in log(sigma/alpha), as a grid of the given time variable: equal ratios of sigma/alpha by default."""
    level = noise_clock(sde)
    return clock.spacing(through(level.from_time, level.to_time, spacing))


@dataclass(frozen=True)
class Reversal:
    """What `sample` needs: an equation from `start` down to `stop`, its coordinates, where it begins and how it ends.

    Attributes:
        equation: in the state y and the time variable u; it carries the default time grid, `spacing`.
        clock: from the SDE's time t to u and back.
        start, stop: u at the horizon and at the SDE's t_min.
        prior: the distribution of x at `start`; anything with from_noise(noise) -> x.
        to_chart, from_chart: (x, u) -> y and (y, u) -> x.
        finish: (x, u) -> x, applied once at `stop`: the denoised mean E[x_0 | x], so that the last step of a stochastic
            sampler returns the mean, not the mean plus noise. `without_final_denoise()` leaves it out.
    """

    equation: Equation
    clock: Clock
    start: float
    stop: float
    prior: GaussianPrior
    to_chart: Callable[[Tensor, float], Tensor] = keep
    from_chart: Callable[[Tensor, float], Tensor] = keep
    finish: Callable[[Tensor, float], Tensor] = keep

    @property
    def spacing(self) -> Spacing:
        """The time grid that suits the equation: what `FixedGrid(method, steps)` takes."""
        return self.equation.spacing or uniform

    def solve(
        self,
        solver: Solver,
        x: Tensor,
        noise: WienerPath | None = None,
        *,
        start: float | None = None,
        stop: float | None = None,
    ) -> Tensor:
        """x (B, *E) at u = `stop` from x at u = `start`; by default from the horizon to t_min, without `finish`.

        Raises what the solver raises: TypeError or ValueError for an equation, a state or noise that it cannot take.
        """
        start, stop = self.start if start is None else start, self.stop if stop is None else stop
        y = solver(self.equation, self.to_chart(x.to(state_dtype(x.dtype)), start), start, stop, noise)
        return self.from_chart(y, stop)

    def select(self, rows: Tensor) -> Reversal:
        """The same for some of the samples, a boolean mask (B,) or int64 indices (R,): see `Denoiser.select`."""
        equation, prior = select_rows(self.equation, rows), select_rows(self.prior, rows)
        return replace(self, equation=equation, prior=prior, finish=select_rows(self.finish, rows))

    def without_final_denoise(self) -> Reversal:
        """The same, ending on x at t_min itself: the exact end point of the flow, the exact distribution of the SDE."""
        return replace(self, finish=keep)

    def with_prior(self, prior: GaussianPrior) -> Reversal:
        """The same from another distribution at the horizon, such as sde.prior(mean, variance) of the data at hand."""
        return replace(self, prior=prior)


@dataclass(frozen=True)
class DenoiseAt:
    """The finish E[x_0 | x] at the noise level of the time variable's value u."""

    sde: LinearSDE
    denoiser: Callable[..., Tensor]
    clock: Clock = SDE_TIME

    def __call__(self, x: Tensor, u: float) -> Tensor:
        """E[x_0 | x], shape (B, *E)."""
        return self.denoiser(x, self.sde.kernel(self.clock.to_time(u)))

    def select(self, rows: Tensor) -> DenoiseAt:
        """The same for some of the samples."""
        return replace(self, denoiser=select_rows(self.denoiser, rows))


def on_sde_time(sde: SDE, model: Model, equation: Equation, prior: Any = None) -> Reversal:
    """A reversal in x and the SDE's own time, which ends with the denoised mean where the process has kernels."""
    prior = cast(LinearSDE, sde).prior() if prior is None else prior
    if not isinstance(sde, LinearSDE):
        return Reversal(equation, SDE_TIME, sde.horizon, sde.t_min, prior)
    equation = replace(equation, spacing=equation.spacing or in_noise_level(sde, SDE_TIME))
    return Reversal(equation, SDE_TIME, sde.horizon, sde.t_min, prior, finish=DenoiseAt(sde, model))


def change_of_variables(
    sde: LinearSDE, denoiser: Model, equation: Equation, clock: Clock, unit: Callable[[float], Coefficient]
) -> Reversal:
    """An equation of y = x/unit(t) in a time variable of its own."""
    return Reversal(
        replace(equation, spacing=equation.spacing or in_noise_level(sde, clock)),
        clock,
        clock.from_time(sde.horizon),
        clock.from_time(sde.t_min),
        sde.prior(),
        to_chart=lambda x, u: scale(1 / unit(clock.to_time(u)), x),
        from_chart=lambda y, u: scale(unit(clock.to_time(u)), y),
        finish=DenoiseAt(sde, denoiser, clock),
    )


def in_noise_level(sde: LinearSDE, clock: Clock, spacing: Spacing = DEFAULT_LEVELS) -> Spacing:
    """A grid laid out in sigma/alpha, as a grid of the given time variable: the default of every form but the data forms."""
    return in_log_snr(sde, clock, through(math.exp, math.log, spacing))
