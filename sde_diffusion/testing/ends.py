"""Both ends of a linear process, where logarithms and differences lose their digits or their meaning."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from sde_diffusion.sde.base import LinearSDE
from sde_diffusion.testing.times import EARLIEST, first_time
from solvers.testing.report import Finding, reported, verdict

EARLY = 0.1 * EARLIEST
NEAR = 1e-6
EPS32 = torch.finfo(torch.float32).eps
SMALL32 = torch.finfo(torch.float32).tiny / EPS32


def finite(sde: LinearSDE) -> Iterator[Finding]:
    """f, g, alpha and sigma are finite at t_min and at the horizon, with alpha and sigma above zero there."""
    ends = ((sde.t_min, sde.t_min + NEAR * sde.horizon), (sde.horizon, (1 - NEAR) * sde.horizon))
    wrong = [
        f"{name}({t:g}) = {value}"
        for t, beside in ends
        for name, value in _values(sde, t)
        if not _good(name, value) or not _steady(sde, name, t, beside)
    ]
    yield verdict(
        "finite at both ends",
        float(len(wrong)),
        0.0,
        example="; ".join(wrong),
        cause="the signal is gone at the horizon, or there is no noise yet at t_min: stop short of that end",
        read="sde_diffusion/sde/cosine.py: why its horizon is 0.999",
    )


def _values(sde: LinearSDE, t: float) -> Iterator[tuple[str, float | str]]:
    for name in ("f", "g", "alpha", "sigma"):
        try:
            yield name, float(getattr(sde, name)(t))
        except (ArithmeticError, ValueError) as error:
            yield name, str(error)


def _good(name: str, value: float | str) -> bool:
    """Finite, a scale above zero; |f| and |g| below 1e8."""
    if isinstance(value, str) or not math.isfinite(value) or abs(value) > 1e8:
        return False
    return value > 1e-300 if name in ("alpha", "sigma") else True


def _steady(sde: LinearSDE, name: str, t: float, beside: float) -> bool:
    """Whether a scale below 1e-12 is more than what rounding has left of zero (cos(pi/2) = 6e-17): it is much the same beside t."""
    if name not in ("alpha", "sigma"):
        return True
    value = float(getattr(sde, name)(t))
    return value > 1e-12 or float(getattr(sde, name)(beside)) < 1000 * value


def start(sde: LinearSDE) -> Iterator[Finding]:
    """sigma does not jump at t = 0: a path starts with the noise that the kernel says."""
    tiny = 1e-9 * sde.horizon
    try:
        before, after = float(sde.sigma(0.0)) ** 2, float(sde.sigma(tiny)) ** 2
    except (ArithmeticError, ValueError) as error:
        yield reported(
            "sigma is continuous at t = 0", 0.0, f"sigma has no value there ({error}): t_min = {sde.t_min:g}"
        )
        return
    growth = abs(2 * float(sde.f(tiny)) * after + float(sde.g(tiny)) ** 2) * tiny
    jump = max(abs(after - before) - 3 * growth, 0.0) / max(after, 1e-300)
    yield verdict(
        "sigma is continuous at t = 0",
        jump,
        1e-3,
        example=f"sigma(0) = {math.sqrt(before):.6g}, sigma({tiny:g}) = {math.sqrt(after):.6g}",
        cause="the process starts with noise (sigma(0+) > 0, as VE's sigma_min) and says that it starts at the data",
        read="sde_diffusion/sde/ve.py",
    )


def normalised(sde: LinearSDE) -> Iterator[Finding]:
    """x at t = 0 is the data, not a multiple of them: alpha(0) = 1."""
    name = "alpha is 1 at t = 0"
    try:
        scale, noise = float(sde.alpha(0.0)), float(sde.sigma(0.0))
    except (ArithmeticError, ValueError) as error:
        yield reported(name, 0.0, f"alpha has no value there ({error}): t_min = {sde.t_min:g}")
        return
    yield verdict(
        name,
        abs(scale - 1),
        1e-9,
        example=f"alpha(0) = {scale:.8g}, sigma(0) = {noise:.6g}",
        cause=f"the schedule is not normalised: divide alpha by alpha(0) (alpha_bar(t)/alpha_bar(0))"
        f"{', which leaves no noise at t = 0' if _on_circle(scale, noise) else ''}",
        read="sde_diffusion/sde/base.py: a process starts at the data",
    )


def _on_circle(alpha: float, sigma: float) -> bool:
    """Whether alpha^2 + sigma^2 = 1."""
    return abs(alpha**2 + sigma**2 - 1) < 1e-9


def single_precision(sde: LinearSDE) -> Iterator[Finding]:
    """alpha and sigma keep their digits for float32 times, down to 1e-5 of the horizon, where float32 has such numbers."""
    first = max(min(first_time(sde), EARLY * sde.horizon), 1e-12)
    t = torch.exp(torch.linspace(math.log(first), math.log(0.999 * sde.horizon), 64, dtype=torch.float64)).float()
    error, noise = [], []
    for name in ("sigma", "alpha"):
        low, high = torch.as_tensor(getattr(sde, name)(t)).double(), torch.as_tensor(getattr(sde, name)(t.double()))
        off = ((low - high).abs() / high.abs()).nan_to_num(math.inf).expand(t.shape)
        error.append(off.masked_fill(high.abs().expand(t.shape) < SMALL32, 0.0))
        noise.append(high.expand(t.shape) ** 2)
    worst = int(error[0].argmax())
    cancels = bool((error[0] * noise[0] < 20 * EPS32).all()) and error[1].max() < 1e-3
    yield verdict(
        "float32 keeps the digits of alpha and sigma",
        max(e.max().item() for e in error),
        1e-3,
        example=f"sigma({t[worst]:.4g}) is off by {error[0][worst]:.2g} of itself",
        cause="1 - exp(...) cancels: write sigma with -expm1(...)"
        if cancels
        else "the schedule loses digits in float32",
        read="solvers/elementary.py",
    )
