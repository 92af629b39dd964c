r"""Time grids of samplers, laid out in the noise level kappa = sigma/alpha: the same levels for every process.

| name | equal steps of | range |
|---|---|---|
| `log_snr` | log kappa; the steps widen below LOW and above HIGH | the process's |
| `karras` | kappa^(1/7) below TOP; one step from a higher start | the process's |
| `cosine` | arctan(kappa/data_std) | the process's |
| `quadratic` | sqrt(t), t the time of the VP process at the level kappa/data_std | the process's |
| `in_log_snr`, `level(rho)` | log kappa, kappa^(1/rho) | the process's |
| `time`, `power(rho)` | t, t^(1/rho), t the time of the process itself | the process's |
| `uniform` | the equation's own time variable | the process's |

LOW = 0.004, HIGH = 40 and TOP = 80, in standard deviations of the data. Above HIGH the denoiser's answer is nearly the data's
mean, below LOW it is nearly x: little happens there. `log_snr` has equal steps of

    log(kappa + LOW) - log(1 + kappa/HIGH).                                                                       (1)

Without this a process that runs from kappa = 1000 to 0.0001 spends half of its steps where nothing happens. Cutting the range
off at LOW instead would leave a last step of many e-folds after many short ones, and multistep formulas extrapolate over it:
with three fields the noise of the stochastic samplers then grows a hundredfold.

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

LOW, HIGH, TOP = 0.004, 40.0, 80.0


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


def log_snr() -> Grid:
    """Equal steps of log(sigma/alpha) between LOW and HIGH standard deviations of the data, wider ones beyond: equation (1)."""
    return Grid("log_snr", lambda sde, clock, std: in_levels(sde, clock, _scaled(std, through(_middle, _from_middle))))


def karras(rho: float = 7.0) -> Grid:
    """Equal steps of (sigma/alpha)^(1/rho) from at most TOP standard deviations of the data; EDM's grid for rho = 7."""
    name = "karras" if rho == 7.0 else f"karras(rho={rho:g})"
    return Grid(name, lambda sde, clock, std: in_levels(sde, clock, _scaled(std, _from_top(power(rho)))))


def in_log_snr() -> Grid:
    """Equal steps of log(sigma/alpha) over the whole range of the process."""
    return Grid("in_log_snr", lambda sde, clock, std: in_levels(sde, clock, geometric))


def level(rho: float = 7.0) -> Grid:
    """Equal steps of (sigma/alpha)^(1/rho) over the whole range of the process."""
    return Grid(f"level(rho={rho:g})", lambda sde, clock, std: in_levels(sde, clock, power(rho)))


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


def _middle(kappa: float) -> float:
    return math.log(kappa + LOW) - math.log1p(kappa / HIGH)


def _from_middle(u: float) -> float:
    return (math.exp(u) - LOW) / (1 - math.exp(u) / HIGH)


def _from_top(spacing: Spacing) -> Spacing:
    """The spacing from TOP down, with the start itself in the place of TOP where it lies higher."""

    def below(start: float, stop: float, steps: int):
        times = spacing(min(start, TOP) if stop < TOP else start, stop, steps)
        times[0] = start
        return times

    return below


def _scaled(std: float, spacing: Spacing) -> Spacing:
    """A grid for data of standard deviation one, as one for data of another."""
    return through(lambda kappa: kappa / std, lambda kappa: kappa * std, spacing)


def _quadratic(start: float, stop: float, steps: int):
    vp = sigma_clock(VP())
    return through(vp.to_time, vp.from_time, power(2))(start, stop, steps)


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
