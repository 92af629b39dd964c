r"""Exact laws under a process: mean and variance up to the solver's error, without random numbers.

On Gaussian data every equation here is linear, so a method's result is linear in its noise: one impulse in each step
(`solvers.testing.paths.Impulses`) gives its exact mean and variance, and only the order is left to measure.

    forward         x_t from drift(x, t) and diffusion(t), against N(alpha x_0, sigma^2)                           (1)
    flow, reverse   from the law at t to the law at s, by the exact denoiser                                       (2)
    there and back  (1), then (2): the data's law returns                                                          (3)

References:
    Anderson, Reverse-time diffusion equation models, 1982, https://doi.org/10.1016/0304-4149(82)90051-5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from sde_diffusion.exact.denoiser import ExactDenoiser
from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal.base import Reversal
from sde_diffusion.reversal.probability_flow import probability_flow
from sde_diffusion.reversal.reverse_sde import reverse_sde
from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.testing.times import first_time, level_grid, log_snr_range, time_of
from solvers.equations import ItoSDE
from solvers.grids import Spacing
from solvers.integrate import FixedGrid
from solvers.method import Method
from solvers.methods.heun import Heun
from solvers.methods.stochastic_heun import StochasticHeun
from solvers.testing.diagnosis import FACTORS, likely
from solvers.testing.paths import Impulses
from solvers.testing.report import FULL, Finding, verdict

MEAN, VARIANCE = 0.6, 0.5
LAW = Gaussian([MEAN], [[VARIANCE]])
"""The data."""

LOG_SNRS = (-4.0, 2.0)
STEPS = {"quick": 200, FULL: 800}
ALLOWED = {"quick": 0.02, FULL: 2e-3}
Moments = tuple[float, float]


class FromLaw(Impulses):
    """Impulses, and one more sample that starts a standard deviation away: its response carries the initial variance."""

    @property
    def batch(self) -> int:
        """Samples: those of the impulses, and the one that starts apart."""
        return super().batch + 1

    def start(self, law: Moments) -> Tensor:
        """The initial states, (B, 1)."""
        x = torch.full((self.batch, 1), law[0], dtype=torch.float64)
        x[-1] += math.sqrt(law[1])
        return x

    def moments(self, result: Tensor) -> Moments:
        """Mean and variance of the method's result."""
        mean = result[-2].item()
        return mean, float(((result - mean) ** 2).sum())


def law_at(sde: LinearSDE, t: float) -> Moments:
    """Mean and variance of x_t."""
    kernel = sde.kernel(t)
    return float(kernel.alpha) * MEAN, float(kernel.alpha) ** 2 * VARIANCE + float(kernel.sigma) ** 2


def distance(got: Moments, law: Moments) -> Moments:
    """Errors of mean and variance in units of the law's standard deviation and variance."""
    return abs(got[0] - law[0]) / math.sqrt(law[1]), abs(got[1] / law[1] - 1)


def reversed_moments(
    reversal: Reversal, method: Method, law: Moments, start: float, stop: float, steps: int, spacing: Spacing
) -> Moments:
    """Moments of x at `stop` from a law at `start` (times of the process); `spacing` is in the reversal's time variable."""
    read = reversal.clock.from_time
    path = FromLaw(spacing(read(start), read(stop), steps))
    y = reversal.to_chart(path.start(law), read(start))
    noise = path if reversal.equation.stochastic else None
    y = FixedGrid(method, steps, spacing)(reversal.equation, y, read(start), read(stop), noise)
    return path.moments(reversal.from_chart(y, read(stop)))


def forward(sde: LinearSDE, level: str) -> Iterator[Finding]:
    """Equation (1), from a point."""
    steps, allowed = STEPS[level], ALLOWED[level]
    end, begin = (time_of(sde, log_snr) for log_snr in log_snr_range(sde, -5.0, 6.0))
    law, point = _from_point(sde, begin, end), (0.7, 0.0)

    def error(on_drift: Callable = _same, on_diffusion: Callable = _same) -> float:
        return _error(_carried(sde, point, begin, end, steps, on_drift, on_diffusion), law)

    def cause() -> str:
        if _as_declared(sde, (begin + end) / 2):
            return "drift() and diffusion() are f x and g, which do not belong to alpha and sigma: see the moment equations"
        scaled = [(f"diffusion() {words}", partial(error, on_diffusion=undo)) for words, undo in FACTORS]
        return likely(
            scaled + [(f"drift() {words}", partial(error, on_drift=undo)) for words, undo in FACTORS], allowed
        )

    found = _settled(lambda n: _simulated(sde, point, begin, end, n), law, steps, allowed)
    yield verdict(
        "simulated forward law is the closed form",
        _error(found, law),
        allowed,
        example=f"from t = {begin:.4g} to {end:.4g} in {steps} steps",
        cause=cause,
        read="equation (1) of sde_diffusion/testing/laws.py",
    )


def _as_declared(sde: LinearSDE, t: float) -> bool:
    """Whether drift() and diffusion() are f x and g."""
    x = torch.tensor([[0.7]], dtype=torch.float64)
    drift, diffusion = sde.drift(x, t).item(), float(sde.diffusion(t))
    return math.isclose(drift, 0.7 * float(sde.f(t)), abs_tol=1e-12) and math.isclose(diffusion, float(sde.g(t)))


def _same(v):
    return v


def _from_point(sde: LinearSDE, begin: float, end: float) -> Moments:
    """Moments at `end` of a path at 0.7 at `begin`, from alpha and sigma."""
    a = float(sde.alpha(end)) / float(sde.alpha(begin))
    return 0.7 * a, float(sde.sigma(end)) ** 2 - (a * float(sde.sigma(begin))) ** 2


def _error(found: tuple[Moments, Moments], law: Moments) -> float:
    """The distance at all steps, less twice what halving the steps has changed: a kink in a schedule is no fault."""
    coarse, fine = (distance(moments, law) for moments in found)
    return max(max(b - 2 * abs(a - b), 0.0) if b == b else math.inf for a, b in zip(coarse, fine, strict=True))


def _carried(
    sde: LinearSDE, law: Moments, begin: float, end: float, steps: int, on_drift=_same, on_diffusion=_same
) -> tuple[Moments, Moments]:
    """Moments at `end` of the simulated process, with half as many steps and with all."""
    half, whole = (_simulated(sde, law, begin, end, n, on_drift, on_diffusion) for n in (steps // 2, steps))
    return half, whole


def _simulated(
    sde: LinearSDE, law: Moments, begin: float, end: float, steps: int, on_drift=_same, on_diffusion=_same
) -> Moments:
    """Moments at `end` of the simulated process."""
    equation = ItoSDE(lambda x, t: on_drift(sde.drift(x, t)), lambda t: on_diffusion(sde.diffusion(t)))
    spacing = level_grid(sde, begin, end, steps)
    path = FromLaw(spacing(begin, end, steps))
    return path.moments(FixedGrid(StochasticHeun(), steps, spacing)(equation, path.start(law), begin, end, path))


def reverse(sde: LinearSDE, level: str) -> Iterator[Finding]:
    """Equations (2) and (3)."""
    exact, allowed, steps = ExactDenoiser(LAW), ALLOWED[level], STEPS[level]
    start, stop = (time_of(sde, log_snr) for log_snr in log_snr_range(sde, *LOG_SNRS))
    first, last = law_at(sde, start), law_at(sde, stop)

    def back(reversal: Reversal, method: Method, law: Moments, n: int) -> Moments:
        return reversed_moments(reversal, method, law, start, stop, n, level_grid(sde, start, stop, n))

    def there_and_back(n: int) -> Moments:
        return back(reverse_sde(sde, exact), StochasticHeun(), _simulated(sde, last, stop, start, n), n)

    runs: dict[str, Callable[[int], Moments]] = {
        "probability flow keeps the law": lambda n: back(probability_flow(sde, exact), Heun(), first, n),
        "reverse SDE keeps the law": lambda n: back(reverse_sde(sde, exact), StochasticHeun(), first, n),
        "forward, then reverse, returns the law": there_and_back,
    }
    for name, at in runs.items():
        yield _kept(name, _settled(at, last, steps, allowed), last, allowed)


def _settled(at: Callable[[int], Moments], law: Moments, steps: int, allowed: float) -> tuple[Moments, Moments]:
    """Moments with half of the steps and with all; where they are off, with up to four times as many: rates may jump."""
    half, whole, most = at(steps // 2), at(steps), 4 * steps
    while steps < most and not _error((half, whole), law) <= allowed:
        steps *= 2
        half, whole = whole, at(steps)
    return half, whole


def _kept(name: str, found: tuple[Moments, Moments], law: Moments, allowed: float) -> Finding:
    """The finding on mean and variance."""
    got = found[1]
    example = f"mean {got[0]:.6g}, variance {got[1]:.6g}; the law has {law[0]:.6g} and {law[1]:.6g}"
    cause = "drift, diffusion and kernel do not belong to one process: see the moment equations"
    read = "sde_diffusion/reversal/reverse_sde.py"
    return verdict(name, _error(found, law), allowed, example=example, cause=cause, read=read)


def shapes(sde: LinearSDE, level: str) -> Iterator[Finding]:
    """The same result for every rank, dtype and available device, for one time or one for each sample."""
    worst, example = 0.0, ""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        for event in ((), (3,), (1, 2, 2)):
            for dtype in (torch.float32, torch.float64):
                error = _one_shape(sde, event, dtype, device)
                if not error <= worst:
                    worst, example = error, f"events {event}, {dtype}, {device}"
    cause = "a time is not spread over the batch, or a tensor is made in a fixed dtype or on a fixed device"
    yield verdict(
        "ranks, dtypes and devices agree", worst, 1e-5, example=example, cause=cause, read="solvers/elementwise.py"
    )


def _one_shape(sde: LinearSDE, event: tuple[int, ...], dtype: torch.dtype, device: str) -> float:
    t = torch.tensor([first_time(sde), 0.3 * sde.horizon, 0.9 * sde.horizon], dtype=torch.float64)
    x0 = (torch.arange(3 * math.prod(event), dtype=dtype) + 1).reshape(3, *event)
    kernel, drift = sde.kernel(t.to(device)), sde.drift(x0.to(device), t.to(device))
    noised = kernel.perturb(x0.to(device), torch.ones_like(x0, device=device))
    if drift.dtype != dtype or noised.dtype != dtype or noised.shape != x0.shape:
        return math.inf
    error = 0.0
    for i, time in enumerate(t.tolist()):
        alone = Kernel(float(sde.alpha(time)), float(sde.sigma(time))).perturb(
            x0[i : i + 1], torch.ones_like(x0[i : i + 1])
        )
        slope = sde.drift(x0[i : i + 1], time)
        for one, all_of_them in ((alone, noised), (slope, drift)):
            gap = (one[0] - all_of_them[i].cpu()).abs().max() / one.abs().max().clamp(min=1e-6)
            error = max(error, gap.item() if gap == gap else math.inf)
    return error
