r"""The moment equations of a linear process, and which of its four functions is to blame.

    d(log alpha)/dt = f                                                                                            (1)
    d(sigma^2)/dt = 2 (d(log alpha)/dt) sigma^2 + g^2                                                              (2)

by forward-mode differentiation (finite differences where a schedule takes floats only). (2) uses the derivative of alpha
in the place of f, so that a wrong f fails (1) alone. (2) determines g and sigma up to a common factor only: a finding
about one may belong to the other.

References:
    Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
        https://arxiv.org/abs/2206.00364, appendix B
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

import torch
from torch import Tensor

from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.testing.times import inner_times
from solvers.testing.diagnosis import FACTORS, Candidate, likely
from solvers.testing.report import Finding, verdict

READ = "equation (2) of sde_diffusion/sde/base.py"
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Schedule:
    """The four functions of a process, of float64 times (N,)."""

    f: Function
    g: Function
    alpha: Function
    sigma: Function
    horizon: float

    @classmethod
    def of(cls, sde: LinearSDE) -> Schedule:
        """The process's own, called with tensors, or float by float where it takes no tensor."""
        return cls(_lifted(sde.f), _lifted(sde.g), _lifted(sde.alpha), _lifted(sde.sigma), float(sde.horizon))


def _lifted(function: Callable) -> Function:
    def at(t: Tensor) -> Tensor:
        try:
            return torch.as_tensor(function(t), dtype=torch.float64).expand(t.shape)
        except (TypeError, ValueError, RuntimeError):
            return torch.tensor([float(function(value)) for value in t.tolist()], dtype=torch.float64)

    return at


def slope(function: Function, t: Tensor) -> tuple[Tensor, bool]:
    """The derivative at times (N,), and whether it is exact: by dual numbers, else by central differences."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch's own, at its first use of dual numbers
            tangent = torch.func.jvp(function, (t,), (torch.ones_like(t),))[1]
        if tangent.abs().max() > 0 or torch.equal(function(t), function(t * 0.999)):
            return tangent, True
    except (RuntimeError, TypeError, ValueError):
        tangent = torch.zeros_like(t)
    h = 1e-5 * t
    return (8 * (function(t + h) - function(t - h)) - (function(t + 2 * h) - function(t - 2 * h))) / (12 * h), False


def residuals(schedule: Schedule, t: Tensor) -> tuple[Tensor, Tensor, bool]:
    """Equations (1) and (2), each relative to its largest term, and whether the derivatives are exact."""
    rate, exact = slope(lambda t: schedule.alpha(t).log(), t)
    growth, sharp = slope(lambda t: schedule.sigma(t) ** 2, t)
    f, gain, decay = schedule.f(t), schedule.g(t) ** 2, 2 * rate * schedule.sigma(t) ** 2
    mean = (rate - f).abs() / (rate.abs() + 1 / schedule.horizon)
    variance = (growth - decay - gain).abs() / (growth.abs() + decay.abs() + gain).clamp(min=1e-300)
    return mean.nan_to_num(torch.inf), variance.nan_to_num(torch.inf), exact and sharp


def moment_equations(sde: LinearSDE) -> Iterator[Finding]:
    """One finding for each equation; both search for one cause that explains both."""
    schedule, t = Schedule.of(sde), inner_times(sde, 32)
    mean, variance, exact = residuals(schedule, t)
    allowed = 1e-9 if exact else 1e-5

    def cause() -> str:
        return likely(candidates(schedule, t), allowed)

    for name, error, equation in (
        ("mean", mean, "d(log alpha)/dt = f"),
        ("variance", variance, "d(sigma^2)/dt = 2 f sigma^2 + g^2"),
    ):
        worst = int(error.argmax())
        example = f"t = {t[worst]:.6g}: off by {error[worst]:.2g} of its terms"
        yield verdict(
            f"moment equation of the {name}: {equation}",
            error[worst].item(),
            allowed,
            example=example,
            cause=cause,
            read=READ,
        )


def candidates(schedule: Schedule, t: Tensor) -> Iterator[Candidate]:
    """The usual mistakes of a schedule, and the error of both equations when they are undone.

    A factor of sigma is offered beside one of g, unless alpha^2 + sigma^2 = 1 speaks for sigma.
    """

    def error(corrected: Schedule) -> float:
        mean, variance, _ = residuals(corrected, t)
        return max(mean.max().item(), variance.max().item())

    for words, corrected in chain(_single(schedule, t), _joint(schedule, t)):
        yield words, partial(error, corrected)


def _single(schedule: Schedule, t: Tensor) -> Iterator[tuple[str, Schedule]]:
    for words, undo in FACTORS:
        for name in ("f", "g"):
            yield f"{name} {words}", replace(schedule, **{name: _after(undo, getattr(schedule, name))})
    alpha, sigma = schedule.alpha, schedule.sigma
    if not torch.allclose(alpha(t) ** 2 + sigma(t) ** 2, torch.ones_like(t), rtol=1e-9):
        for words, undo in FACTORS[:4]:
            yield f"sigma {words}", replace(schedule, sigma=_after(undo, sigma))
    yield (
        "alpha is squared: alpha_bar stands where sqrt(alpha_bar) belongs",
        replace(schedule, alpha=_after(torch.sqrt, alpha)),
    )
    yield (
        "sigma is squared: a variance stands where its root belongs",
        replace(schedule, sigma=_after(torch.sqrt, sigma)),
    )
    yield "sigma is a root too many", replace(schedule, sigma=_after(torch.square, sigma))
    yield "alpha is a root too many", replace(schedule, alpha=_after(torch.square, alpha))
    yield "sigma is not sqrt(1 - alpha^2)", replace(schedule, sigma=lambda t: (1 - alpha(t) ** 2).sqrt())


def _joint(schedule: Schedule, t: Tensor) -> Iterator[tuple[str, Schedule]]:
    end, f, g = schedule.horizon, schedule.f, schedule.g
    yield (
        "f and g run backwards in time: t stands where horizon - t belongs",
        replace(schedule, f=lambda t: f(end - t), g=lambda t: g(end - t)),
    )
    rate, _ = slope(lambda t: schedule.alpha(t).log(), t)
    pace = (rate.sum() / f(t).sum()).item()
    yield (
        f"f and g^2 are {1 / pace:.4g} times too large: rates of a step, not of a unit of time" if pace else "",
        replace(schedule, f=lambda t: pace * f(t), g=lambda t: abs(pace) ** 0.5 * g(t)),
    )
    shift = _shift(schedule, t)
    yield (
        f"alpha and sigma are those of a time {shift:.3g} later (a step too far, if that is 1/N)",
        replace(schedule, f=lambda t: f(t + shift), g=lambda t: g(t + shift)),
    )


def _shift(schedule: Schedule, t: Tensor) -> float:
    """By how much alpha runs ahead of f, by bisection at the middle time; 0 where it cannot be determined."""
    at, reach = t[len(t) // 2 : len(t) // 2 + 1], 0.1 * schedule.horizon
    goal = slope(lambda t: schedule.alpha(t).log(), at)[0]

    def gap(shift: float) -> float:
        return (schedule.f(at + shift) - goal).item()

    low, high = -min(reach, 0.9 * at.item()), min(reach, 0.9 * (schedule.horizon - at.item()))
    if not gap(low) * gap(high) < 0:
        return 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if gap(low) * gap(middle) <= 0 else (middle, high)
    return (low + high) / 2


def _after(outer: Callable[[Tensor], Tensor], inner: Function) -> Function:
    return lambda t: outer(inner(t))
