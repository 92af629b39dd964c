r"""The data form with a stochasticity eta(kappa) of one's own at every noise level kappa = sigma/alpha.

With lambda = log kappa and nu(lambda) the integral of eta^2, the equation of `data_form` reads, in the time variable
mu = lambda + nu,

    dy = (y - x0_hat) dmu + noise,                                                                                 (1)

a linear part of rate one again, and the stochastic convolution over a step down to lambda has a closed form whatever eta:
the derivative of e^{2 lambda - 2 mu} is -2 eta^2 e^{2 lambda - 2 mu}, so that its variance is

    spread(t, s)^2 = e^{2 lambda_s} (1 - e^{2 (nu_s - nu_t)}).                                                       (2)

Here eta^2 is constant on each of 1024 equal pieces of the range of lambda, with its value in the middle of the piece: then
nu is a polygon, mu is inverted exactly, and (2) is exact, so that the marginals are the flow's to rounding. A constant eta is
`data_form(sde, denoiser, eta)`; a positive eta within a band and zero outside it is what SA-Solver and EDM recommend.

References:
    Xue et al., SA-Solver: Stochastic Adams Solver for Fast Sampling of Diffusion Models, 2023,
        https://arxiv.org/abs/2309.05019, proposition 4.1 and appendix E
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix B.5 and algorithm 2 (S_tmin, S_tmax)
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Clock, Reversal, change_of_variables, in_log_snr, noise_clock
from sde_diffusion.reversal.form import form
from sde_diffusion.sde.base import LinearSDE
from solvers.elementary import exp, expm1, sqrt
from solvers.elementwise import Coefficient
from solvers.equations import SemilinearSDE

Stochasticity = Callable[[float], float]
"""eta(kappa) >= 0 at the noise level kappa = sigma/alpha."""

PIECES = 1024


def band(level: float, low: float = 0.05, high: float = 50.0) -> Stochasticity:
    """eta = level for low < kappa < high, 0 outside; the defaults are SA-Solver's."""
    return lambda kappa: level if low < kappa < high else 0.0


@form(LinearSDE)
def data_form_eta(
    sde: LinearSDE,
    denoiser: Denoiser,
    eta: Stochasticity = band(1.0),  # noqa: B008 (a function of a number)
) -> Reversal:
    """Equation (1) for any eta(kappa).

    Raises:
        ValueError: eta is negative or not finite at a noise level of the process, or zero at all of them.
    """
    level = noise_clock(sde)
    polygon = _Polygon.of(eta, level.from_time(sde.t_min), level.from_time(sde.horizon))

    def forcing(y: Tensor, mu: Coefficient) -> Tensor:
        return -denoiser(y, Kernel(1.0, exp(polygon.log_level(mu))))

    def spread(t: Coefficient, s: Coefficient) -> Coefficient:
        lower = polygon.log_level(s)
        forgotten = (s - lower) - (t - polygon.log_level(t))
        return exp(lower) * sqrt(-expm1(2 * _at_most_zero(forgotten)))

    time_variable = Clock(
        lambda t: polygon.mu(level.from_time(t)),
        lambda mu: level.to_time(cast(float, polygon.log_level(mu))),
    )
    equation = SemilinearSDE(1.0, forcing, spread, spacing=in_log_snr(sde, time_variable))
    return change_of_variables(sde, denoiser, equation, time_variable, sde.alpha)


def _at_most_zero(value: Coefficient) -> Coefficient:
    return value.clamp(max=0.0) if isinstance(value, Tensor) else min(value, 0.0)


@dataclass(frozen=True, eq=False)
class _Polygon:
    """mu against lambda, both increasing from the same number; beyond its ends it goes on with slope one."""

    log_levels: Tensor
    mus: Tensor

    @classmethod
    def of(cls, eta: Stochasticity, low: float, high: float) -> _Polygon:
        """mu' = 1 + eta^2 on each piece of [low, high]."""
        ends = torch.linspace(low, high, PIECES + 1, dtype=torch.float64)
        etas = [float(eta(math.exp(middle))) for middle in ((ends[:-1] + ends[1:]) / 2).tolist()]
        if not all(0 <= value < math.inf for value in etas) or not any(etas):
            raise ValueError(
                f"eta(kappa) must be finite and at least 0, and above 0 somewhere between {math.exp(low):.3g} and "
                f"{math.exp(high):.3g}, got {min(etas)} to {max(etas)}; for no noise at all take data_form"
            )
        rates = 1 + torch.tensor(etas, dtype=torch.float64) ** 2
        return cls(ends, low + torch.cat([rates.new_zeros(1), (rates * ends.diff()).cumsum(0)]))

    def mu(self, log_level: Coefficient) -> Coefficient:
        """mu at lambda."""
        return _interpolated(log_level, self.log_levels, self.mus)

    def log_level(self, mu: Coefficient) -> Coefficient:
        """lambda at mu."""
        return _interpolated(mu, self.mus, self.log_levels)


def _interpolated(x: Coefficient, xs: Tensor, ys: Tensor) -> Coefficient:
    """The polygon through (xs, ys) at x, a float or (B,); slope one beyond its ends."""
    at = torch.as_tensor(x, dtype=torch.float64)
    inside = at.clamp(xs[0].item(), xs[-1].item())
    right = torch.searchsorted(xs.to(at.device), inside).clamp(1, len(xs) - 1)
    x0, x1, y0, y1 = (v.to(at.device)[i] for v in (xs, ys) for i in (right - 1, right))
    y = y0 + (inside - x0) * ((y1 - y0) / (x1 - x0)) + (at - inside)
    return y if isinstance(x, Tensor) else y.item()
