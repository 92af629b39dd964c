"""Drift and diffusion as functions of (x, t): sample by sample, in any dtype, for one time or many, with derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.state_dependent import StateDependentSDE
from sde_diffusion.testing.simulation import coordinates
from sde_diffusion.testing.times import inner_times
from solvers.elementwise import along
from solvers.testing.report import FLOATS, Finding, verdict
from solvers.testing.untouched import untouched, written

Field = Callable[[Tensor, Any], Tensor]


def fields(sde: Any) -> dict[str, Field]:
    """Drift and diffusion, each as a function of (x, t) to (B, *E)."""
    if isinstance(sde, StateDependentSDE):
        return {"drift": sde.drift, "diffusion": sde.diffusion}
    spread: Field = lambda x, t: torch.ones_like(x) * along(sde.diffusion(t), x)  # noqa: E731
    return {"drift": sde.drift, "diffusion": spread}


def states(sde: SDE) -> Tensor:
    """Six states, (6, d), no two numbers of which are alike."""
    d = coordinates(sde)
    return torch.linspace(-1.5, 1.7, 6 * d, dtype=torch.float64).reshape(6, d)


def batch_independence(sde: SDE, level: str) -> Iterator[Finding]:
    """A sample alone has what it has among others, in either dtype; x is left alone."""
    x = states(sde)
    for name, field in fields(sde).items():
        worst, example = 0.0, ""
        for t in inner_times(sde, 4).tolist():
            together = field(x, t)
            for i in range(len(x)):
                error = (field(x[i : i + 1], t) - together[i : i + 1]).abs().max().item()
                if not error <= worst:
                    worst, example = error, f"t = {t:.4g}, sample {i} of {len(x)} alone and in the batch"
        cause = f"the {name} takes a mean or a norm over the batch"
        yield verdict(f"{name} does not depend on the batch", worst, 1e-12, example=example, cause=cause)
        kept = field(x.float(), sde.horizon / 2).dtype == torch.float32
        yield verdict(f"{name} keeps the dtype", float(not kept), 0.0, example="a float32 state")
    t = sde.horizon / 2
    found = {f"the {name} writes into x": written(lambda f=f: f(x, t), x) for name, f in fields(sde).items()}
    yield untouched("inputs are left alone", found)


def many_times(sde: SDE, level: str) -> Iterator[Finding]:
    """One time for each sample gives what each time alone gives."""
    x = states(sde)
    t = inner_times(sde, len(x))
    for name, field in fields(sde).items():
        together = field(x, t)
        errors = [(field(x[i : i + 1], t[i].item()) - together[i : i + 1]).abs().max().item() for i in range(len(x))]
        yield verdict(
            f"{name} takes a time for each sample",
            max(errors) if all(map(math.isfinite, errors)) else math.inf,
            1e-10,
            example=f"x {tuple(x.shape)}, t {tuple(t.shape)}: sample {errors.index(max(errors))} is off by {max(errors):.3g}",
            cause="a time for each sample, (B,), is not spread over the coordinates: solvers.elementwise.scale(c, x) does it",
            read="sde_diffusion/sde/base.py: drift",
        )


def derivatives(sde: SDE, level: str) -> Iterator[Finding]:
    """Automatic differentiation in x agrees with differences."""
    x, t = states(sde), 0.4 * sde.horizon
    way = torch.cos(3 * x)
    for name, field in fields(sde).items():
        found, h = _along(lambda x, f=field: f(x, t), x, way), 1e-5
        seen = (field(x + h * way, t) - field(x - h * way, t)) / (2 * h)
        error = (found - seen).abs().max() / seen.abs().max().clamp(min=1.0)
        yield verdict(
            f"{name} has derivatives in x",
            error.item(),
            1e-5,
            example=f"along a direction: {found.flatten()[0]:.6g} by automatic differentiation, {seen.flatten()[0]:.6g} by differences",
            cause=FLOATS,
            read="sde_diffusion/testing/coefficients.py",
        )


def _along(field: Callable[[Tensor], Tensor], x: Tensor, way: Tensor) -> Tensor:
    """The derivative along a direction; NaN where there is none."""
    try:
        return torch.func.jvp(field, (x,), (way,))[1]
    except (RuntimeError, TypeError, ValueError):
        return torch.full_like(x, math.nan)


def noise_slope(sde: Any, level: str) -> Iterator[Finding]:
    """d(g_i^2)/dx_i of a process that writes it down, against automatic differentiation."""
    if not isinstance(sde, StateDependentSDE):
        return
    x, t = states(sde), 0.4 * sde.horizon
    given, exact = sde.noise_slope(x, t), StateDependentSDE.noise_slope(sde, x, t)
    error = (given - exact).abs().max() / exact.abs().max().clamp(min=1.0)
    yield verdict(
        "noise_slope is the derivative of g^2",
        error.item(),
        1e-9,
        example=f"x = {x[0].tolist()}: {given[0].tolist()}, by automatic differentiation {exact[0].tolist()}",
        cause="g dg/dx stands where d(g^2)/dx = 2 g dg/dx belongs" if torch.allclose(2 * given, exact) else "",
        read="sde_diffusion/sde/state_dependent.py",
    )
