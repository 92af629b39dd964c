"""A sampler is an equation in a clock, times a method; a `Reversal` is the equation and the clock.

The equation's state y is a chart of x (y = x, y = x/alpha, ...), and its independent variable is a clock of the SDE's
time t (t itself, log(sigma/alpha), ...). `to_chart` and `from_chart` take x to y and back at a clock's reading.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.prior import GaussianPrior
from solvers.elementwise import Coefficient, scale
from solvers.equations import Equation
from solvers.grids import Spacing, through, uniform

Model = Callable[..., Tensor]


def keep(x: Tensor, reading: float) -> Tensor:
    """The chart y = x, and the finish that leaves x as it is."""
    return x


@dataclass(frozen=True)
class Clock:
    """A time variable: `from_time` takes the SDE's time t to it, `to_time` takes it back; both are monotone."""

    from_time: Callable[[float], Any]
    to_time: Callable[[float], Any]

    def spacing(self, in_time: Spacing) -> Spacing:
        """A grid laid out in the SDE's time t, as a grid of this clock."""
        return through(self.to_time, self.from_time, in_time)


SDE_TIME = Clock(float, float)
"""The SDE's own time."""


def noise_clock(sde: LinearSDE) -> Clock:
    """log(sigma/alpha), the clock in which the data and the noise form have constant linear parts."""
    return Clock(lambda t: -0.5 * sde.log_snr(t), lambda reading: sde.time(-2 * reading))


def in_log_snr(sde: LinearSDE, clock: Clock = SDE_TIME, spacing: Spacing = uniform) -> Spacing:
    """A grid laid out in log(sigma/alpha), as a grid of the given clock: equal ratios of the noise level by default."""
    level = noise_clock(sde)
    return clock.spacing(through(level.from_time, level.to_time, spacing))


@dataclass(frozen=True)
class Reversal:
    """What `sample` needs: the equation from `start` down to `stop`, its charts, where it begins and how it ends.

    Attributes:
        equation: in the chart's state and the clock's reading.
        clock: from the SDE's time to the equation's.
        start, stop: readings at the horizon and at the SDE's t_min.
        prior: the law of x at `start`; anything with from_noise(noise) -> x.
        to_chart, from_chart: (x, reading) -> y and (y, reading) -> x.
        finish: (x, reading) -> x, applied once at `stop`: the denoised mean E[x_0 | x], so that the last step of a
            stochastic sampler returns the mean, not the mean plus noise. `without_final_denoise()` leaves it out.
    """

    equation: Equation
    clock: Clock
    start: float
    stop: float
    prior: GaussianPrior
    to_chart: Callable[[Tensor, float], Tensor] = keep
    from_chart: Callable[[Tensor, float], Tensor] = keep
    finish: Callable[[Tensor, float], Tensor] = keep

    def without_final_denoise(self) -> Reversal:
        """The same, ending on x at t_min itself: the exact end point of the flow, the exact law of the SDE."""
        return replace(self, finish=keep)

    def with_prior(self, prior: GaussianPrior) -> Reversal:
        """The same from another law at the horizon, such as sde.prior(mean, variance) of the data at hand."""
        return replace(self, prior=prior)


def on_sde_time(sde, equation: Equation, finish: Callable[[Tensor, float], Tensor], prior=None) -> Reversal:
    """A reversal whose chart and clock are the SDE's own."""
    prior = sde.prior() if prior is None else prior
    return Reversal(equation, SDE_TIME, sde.horizon, sde.t_min, prior, finish=finish)


def denoise_at(sde: LinearSDE, denoiser: Denoiser, clock: Clock = SDE_TIME) -> Callable[[Tensor, float], Tensor]:
    """The finish E[x_0 | x] at the channel of a clock's reading."""
    return lambda x, reading: denoiser(x, sde.kernel(clock.to_time(reading)))


def change_of_variables(
    sde: LinearSDE, denoiser: Denoiser, equation: Equation, clock: Clock, unit: Callable[[float], Coefficient]
) -> Reversal:
    """An equation of y = x/unit(t) in a clock of its own."""
    return Reversal(
        equation,
        clock,
        clock.from_time(sde.horizon),
        clock.from_time(sde.t_min),
        sde.prior(),
        to_chart=lambda x, reading: scale(1 / unit(clock.to_time(reading)), x),
        from_chart=lambda y, reading: scale(unit(clock.to_time(reading)), y),
        finish=denoise_at(sde, denoiser, clock),
    )


def end_of(sde, model: Model) -> Callable[[Tensor, float], Tensor]:
    """How sampling ends: with the denoised mean where the process has kernels, with x itself where it has none."""
    return denoise_at(sde, cast(Denoiser, model)) if isinstance(sde, LinearSDE) else keep
