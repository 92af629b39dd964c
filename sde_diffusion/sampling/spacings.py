r"""Time grids of samplers, laid out in the noise level kappa = sigma/alpha: the same levels for every process.

| name | equal steps of | range |
|---|---|---|
| `log_snr` | log kappa | LOW to HIGH |
| `karras` | kappa^(1/7) | LOW to HIGH |
| `cosine` | arctan(kappa/data_std) | the process's |
| `quadratic` | sqrt(t), t the time of the VP process at the level kappa/data_std | the process's |
| `level(rho)` | kappa^(1/rho) | the process's |
| `time`, `power(rho)` | t, t^(1/rho), t the time of the process itself | the process's |
| `uniform` | the equation's own time variable | the process's |

LOW = 0.002 and HIGH = 80 standard deviations of the data. A process that goes beyond them does so in its first and its last
step alone: above HIGH the denoiser's answer is the data's mean, below LOW it is x itself, and every form here integrates both
to rounding. Without this range a process that runs to kappa = 1000 spends most of its steps where nothing happens.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, equation (5) and table 1 (rho = 7, sigma from 0.002 to 80)
    Lu et al., DPM-Solver, 2022, https://arxiv.org/abs/2206.00927, section 3.4 (uniform log-SNR)
    Nichol & Dhariwal, Improved Denoising Diffusion Probabilistic Models, 2021, https://arxiv.org/abs/2102.09672 (cosine)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from sde_diffusion.reversal import grids
from sde_diffusion.reversal.base import Clock, Reversal
from sde_diffusion.reversal.sigma_form import sigma_clock
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.sde.vp import VP
from solvers.grids import Spacing, geometric, power, through
from solvers.grids import uniform as equal

LOW, HIGH = 0.002, 80.0


@dataclass(frozen=True)
class Grid:
    """A grid for every process: `grid(sde, reversal, data_std)` is the spacing in the reversal's time variable.

    `name` is how it is written on the command line; `str(grid)` gives it.
    """

    name: str
    layout: Callable[[LinearSDE, Clock, float], Spacing]

    def __call__(self, sde: LinearSDE, reversal: Reversal, data_std: float = 1.0) -> Spacing:
        """The spacing: (start, stop, steps) -> times, shape (steps + 1,), in the reversal's time variable.

        Raises TypeError for a grid of noise levels and a process without closed-form kernels.
        """
        if not isinstance(sde, LinearSDE) and self.name not in ("uniform", "time"):
            raise TypeError(
                f"the time grid {self.name} needs noise levels and {type(sde).__name__} has none; take uniform or time"
            )
        return self.layout(sde, reversal.clock, data_std)

    def __str__(self) -> str:
        return self.name


def log_snr(low: float = LOW, high: float = HIGH) -> Grid:
    """Equal steps of log(sigma/alpha), between `low` and `high` standard deviations of the data."""
    return Grid(_name("log_snr", low, high), _within(low, high, geometric))


def karras(rho: float = 7.0, low: float = LOW, high: float = HIGH) -> Grid:
    """Equal steps of (sigma/alpha)^(1/rho), between `low` and `high` standard deviations of the data."""
    name = _name("karras", low, high) if rho == 7.0 else f"karras(rho={rho:g}, low={low:g}, high={high:g})"
    return Grid(name, _within(low, high, power(rho)))


def in_log_snr() -> Grid:
    """Equal steps of log(sigma/alpha) over the whole range of the process."""
    return Grid("in_log_snr", _within(0.0, math.inf, geometric))


def level(rho: float = 7.0) -> Grid:
    """Equal steps of (sigma/alpha)^(1/rho) over the whole range of the process."""
    return Grid(f"level(rho={rho:g})", _within(0.0, math.inf, power(rho)))


def quadratic() -> Grid:
    """sqrt(t) uniform, t the time of the VP process of rate 0.1 .. 20 at the noise level sigma/(alpha data_std)."""
    return Grid("quadratic", lambda sde, clock, std: in_levels(sde, clock, _scaled(std, _quadratic)))


def cosine() -> Grid:
    """arctan(sigma/(alpha data_std)) uniform: for data of standard deviation one, the time of the cosine process."""
    return Grid("cosine", lambda sde, clock, std: grids.cosine(sde, clock, std))


def uniform() -> Grid:
    """Equal steps of the equation's own time variable."""
    return Grid("uniform", lambda sde, clock, std: equal)


def time() -> Grid:
    """Equal steps of the process's time t."""
    return Grid("time", lambda sde, clock, std: clock.spacing(equal))


def power_of_time(rho: float = 2.0) -> Grid:
    """Equal steps of t^(1/rho), t the process's time."""
    return Grid(f"power(rho={rho:g})", lambda sde, clock, std: clock.spacing(power(rho)))


def in_levels(sde: LinearSDE, clock: Clock, spacing: Spacing) -> Spacing:
    """A grid laid out in sigma/alpha, as a grid of a reversal's time variable."""
    kappa = sigma_clock(sde)
    return clock.spacing(through(kappa.from_time, kappa.to_time, spacing))


def _within(low: float, high: float, spacing: Spacing) -> Callable[[LinearSDE, Clock, float], Spacing]:
    return lambda sde, clock, std: in_levels(sde, clock, _clipped(low * std, high * std, spacing))


def _clipped(low: float, high: float, spacing: Spacing) -> Spacing:
    """The spacing between the ends moved into [low, high], with the ends themselves in the place of its own."""

    def clipped(start: float, stop: float, steps: int):
        inner, outer = max(stop, low), min(start, high)
        if not inner < outer:
            inner, outer = stop, start
        times = spacing(outer, inner, steps)
        times[0], times[-1] = start, stop
        return times

    return clipped


def _scaled(std: float, spacing: Spacing) -> Spacing:
    return through(lambda kappa: kappa / std, lambda kappa: kappa * std, spacing)


def _quadratic(start: float, stop: float, steps: int):
    vp = sigma_clock(VP())
    return through(vp.from_time, vp.to_time, power(2))(start, stop, steps)


def _name(name: str, low: float, high: float) -> str:
    return name if (low, high) == (LOW, HIGH) else f"{name}(low={low:g}, high={high:g})"


GRIDS: dict[str, Callable[..., Grid]] = {
    "karras": karras,
    "log_snr": log_snr,
    "quadratic": quadratic,
    "cosine": cosine,
    "uniform": uniform,
    "time": time,
    "level": level,
    "power": power_of_time,
    "in_log_snr": in_log_snr,
    "quadratic_in_vp_time": quadratic,
}
"""The grids by the names of the command line; the last two are earlier names."""
