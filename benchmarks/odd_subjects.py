"""How often does the kit raise an alarm on correct subjects of odd parameters? Each subject is drawn from a seed.

python -m benchmarks.odd_subjects [--seconds 600] [--family NAME] [--first 0]
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks.output import save_table
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.mixture import Mixture
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal import data_form, reverse_sde, sigma_form, velocity_form
from sde_diffusion.reversal import edm_churn as churned
from sde_diffusion.sde import DDPM, EDM, SDE, VE, VP, Brownian, Cosine, Rectified, StateDependentSDE, SubVP
from sde_diffusion.testing import check_denoiser, check_sampler, check_sde
from sde_diffusion.testing.sampler import ours
from solvers import AdamsBashforth, EulerMaruyama, ExponentialAdams, ExponentialEuler, Heun
from solvers.elementary import sin
from solvers.methods.churn import Churn
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from solvers.testing import Report

COLUMNS = ["family", "odd in", "reports", "checks", "alarms", "checks that alarmed"]


class Draw:
    """Numbers from a seed."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def even(self, low: float, high: float) -> float:
        """Uniform."""
        return low + (high - low) * torch.rand((), generator=self.generator, dtype=torch.float64).item()

    def ratio(self, low: float, high: float) -> float:
        """Uniform in the logarithm."""
        return math.exp(self.even(math.log(low), math.log(high)))

    def whole(self, low: int, high: int) -> int:
        """From low to high, both included."""
        return int(torch.randint(low, high + 1, (), generator=self.generator))

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def one_of(self, values: list) -> Any:
        """One of them."""
        return values[self.whole(0, len(values) - 1)]


def linear(draw: Draw) -> Report:
    """A process of this library, its ranges over orders of magnitude."""
    horizon = draw.ratio(0.01, 100.0)
    beta_min = draw.ratio(1e-3, 5.0) / horizon
    beta_max = beta_min * draw.ratio(1.0, 1000.0)
    start = horizon * draw.ratio(1e-5, 1e-2)
    low = draw.ratio(1e-5, 1.0)
    horizon_of_edm = draw.ratio(1.0, 1000.0)
    sde = draw.one_of(
        [
            partial(VP, beta_min, beta_max, horizon, start),
            partial(SubVP, beta_min, beta_max, horizon, start),
            partial(VE, low, low * draw.ratio(3.0, 1e5), horizon),
            partial(Brownian, draw.ratio(0.01, 1e4)),
            partial(Cosine, draw.even(0.5, 0.9999)),
            partial(EDM, horizon_of_edm, horizon_of_edm * draw.ratio(1e-6, 1e-2)),
            partial(Rectified, draw.even(0.5, 0.9999)),
            partial(DDPM, [draw.ratio(1e-5, 0.9) for _ in range(draw.whole(2, 200))], horizon),
        ]
    )()
    return check_sde(sde)


def mixture(draw: Draw, d: int) -> Mixture:
    """One to six Gaussians in d dimensions, of any size."""
    modes, size = draw.whole(1, 6), draw.ratio(1e-2, 1e2)
    mass = draw.normal(modes).exp()
    deviations = torch.tensor([draw.ratio(0.03, 2.0) for _ in range(modes)], dtype=torch.float64)
    return Mixture(mass / mass.sum(), size * draw.normal(modes, d), (size * deviations) ** 2)


def denoiser(draw: Draw) -> Report:
    """An exact denoiser, with its law."""
    law = mixture(draw, draw.whole(1, 5)).to(draw.one_of([torch.float64, torch.float64, torch.float32]))
    return check_denoiser(ExactDenoiser(law))


def held_out(draw: Draw) -> Report:
    """An exact denoiser, with data alone."""
    law, n = mixture(draw, draw.whole(1, 5)), int(draw.ratio(100, 5000))

    return check_denoiser(Hidden(ExactDenoiser(law)), data=law.sample(n, draw.generator))


class Hidden(Denoiser):
    """The same denoiser, of which the kit cannot read the law."""

    def __init__(self, known: ExactDenoiser) -> None:
        super().__init__()
        self.known = known

    def forward(self, x_t: Tensor, kernel: Kernel, **condition: Any) -> Tensor:
        """The known one's answer."""
        return self.known(x_t, kernel)


class Polynomial(SDE):
    """dx = (A x - c |x|^2 x) dt + g(1 + a sin(w t)) dW in d coordinates, d written into the drift."""

    t_min = 0.0

    def __init__(self, draw: Draw, d: int) -> None:
        self.d, self.horizon = d, draw.ratio(0.2, 3.0)
        self.matrix = draw.even(0.2, 1.5) * draw.normal(d, d) / d**0.5
        self.hold, self.g = draw.ratio(0.1, 2.0), draw.ratio(0.3, 2.0)
        self.wave = draw.even(0.0, 0.5), draw.even(0.0, 6.0)

    def drift(self, x: Tensor, t: Any) -> Tensor:
        """(B, d)."""
        if x.shape[1] != self.d:
            raise IndexError(f"{self.d} coordinates, got {x.shape[1]}")
        return x @ self.matrix.to(x).mT - self.hold * x.square().sum(1, keepdim=True) * x

    def diffusion(self, t: Any) -> Any:
        """g(1 + a sin(w t))."""
        return self.g * (1 + self.wave[0] * sin(self.wave[1] * t))


class Noisy(Polynomial, StateDependentSDE):
    """The same with g_i^2 = g^2 (1 + a |x|^2/d)."""

    def diffusion(self, x: Tensor, t: Any) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """(B, d)."""
        g = self.g * (1 + 0.5 * self.wave[0] * x.square().mean(1, keepdim=True)).sqrt()
        return g.expand_as(x)


def nonlinear(draw: Draw, kind: type[Polynomial], d: int) -> Report:
    """A polynomial drift, with additive or state-dependent noise."""
    return check_sde(kind(draw, d))


def sampler(draw: Draw) -> Report:
    """A sampler of this library; a churn above 8 would be cut off on grids of 20 steps, where orders are measured."""
    eta = draw.ratio(0.1, 2.0)
    k = draw.whole(1, 3)
    made = draw.one_of(
        [
            ours("SDE-DPM-Solver++(1)", partial(data_form, eta=eta), ExponentialEuler(), 1),
            ours("Euler-Maruyama", partial(reverse_sde, eta=eta), EulerMaruyama(), 1),
            ours("EDM stochastic", churned, Churn(draw.ratio(0.5, 8.0)), 2),
            ours("SA-Solver", partial(data_form, eta=eta), PredictEvaluateCorrect(k), 1),
            ours("DPM-Solver++", data_form, ExponentialAdams(min(k, 2)), min(k, 2)),
            ours("EDM Heun", sigma_form, Heun(), 2),
            ours("velocity", velocity_form, AdamsBashforth(min(k, 2)), min(k, 2)),
        ]
    )
    return check_sampler(made)


FAMILIES: dict[str, tuple[str, Callable[[Draw], Report]]] = {
    "linear processes": ("beta and sigma ranges, horizons, t_min", linear),
    "exact denoisers": ("modes, sizes 1e-2 to 1e2, 1 to 5 dimensions, dtypes", denoiser),
    "denoisers with data": ("the same, 100 to 5,000 samples", held_out),
    "nonlinear, 1 dimension": ("drift, noise, horizon", partial(nonlinear, kind=Polynomial, d=1)),
    "nonlinear, 2 dimensions": ("drift, noise, horizon", partial(nonlinear, kind=Polynomial, d=2)),
    "nonlinear, 3 dimensions": ("drift, noise, horizon", partial(nonlinear, kind=Polynomial, d=3)),
    "noise of the state, 1 dimension": ("drift, noise, horizon", partial(nonlinear, kind=Noisy, d=1)),
    "noise of the state, 2 dimensions": ("drift, noise, horizon", partial(nonlinear, kind=Noisy, d=2)),
    "samplers": ("stochasticity, churn, fields", sampler),
}


@dataclass
class Count:
    """What one family has shown so far."""

    name: str
    seed: int
    seconds: float = 0.0
    reports: int = 0
    checks: int = 0
    alarms: int = 0
    wrong: set[str] = field(default_factory=set)

    def one_more(self) -> None:
        """The report of the next seed."""
        began = time.process_time()
        report = FAMILIES[self.name][1](Draw(self.seed))
        for finding in report.failures:
            self.wrong.add(finding.check)
            where = f"{self.name}, seed {self.seed}: {finding.check}"
            print(f"{where}: {finding.error:.3g}, allowed {finding.allowed:.3g}: {finding.example}", flush=True)
        self.seed, self.reports, self.checks = self.seed + 1, self.reports + 1, self.checks + len(report.findings)
        self.alarms += not report.ok
        self.seconds += time.process_time() - began

    def row(self) -> list[str]:
        """Of the table."""
        numbers = [f"{number:,}" for number in (self.reports, self.checks, self.alarms)]
        return [self.name, FAMILIES[self.name][0], *numbers, ", ".join(sorted(self.wrong)) or "-"]


def main() -> None:
    """The family that had the least time is next, until the time is over."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--family", default="", help="those with this in their name alone")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    given = parser.parse_args()
    counts = [Count(name, given.first) for name in FAMILIES if given.family in name]
    end = time.monotonic() + given.seconds
    while time.monotonic() < end:
        min(counts, key=lambda count: count.seconds).one_more()
    total = [f"{sum(getattr(count, name) for count in counts):,}" for name in ("reports", "checks", "alarms")]
    rows = [*(count.row() for count in counts), ["all", "", *total, ""]]
    save_table("odd_subjects", "Alarms of the kit on correct subjects of odd parameters", COLUMNS, rows)


if __name__ == "__main__":
    main()
