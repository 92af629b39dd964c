"""`check_bridge`: whether a process with two ends is one, and whether its closed forms belong together.

print(check_bridge(Straight(0.5)))
print(check_bridge(Pinned(VP())))
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from sde_diffusion.exact.exact_ends import ExactEnds
from sde_diffusion.exact.gaussian import Gaussian
from sde_diffusion.exact.plans import joint
from sde_diffusion.junction import Junction
from sde_diffusion.reversal.bridge_flow import bridge_flow, bridge_sde
from sde_diffusion.reversal.half_bridge import half_bridge
from sde_diffusion.sde.bridge import Bridge
from sde_diffusion.sde.pinned import Pinned
from solvers.testing.report import FLOATS, QUICK, Finding, Report, run_checks, verdict

TIMES = (0.03, 0.2, 0.5, 0.8, 0.97)
"""Shares of the horizon."""
HOME = "sde_diffusion/sde/bridge.py"
PLAN = joint(Gaussian([0.6], [[0.5]]), Gaussian([-0.4], [[0.9]]), torch.tensor([[0.2]], dtype=torch.float64))
"""Pairs on the line, with the covariance 0.2."""


def check_bridge(bridge: Bridge, level: str = QUICK) -> Report:
    """The report on a bridge: its ends, its rates, floats against tensors, and the flow on Gaussian pairs.

    A `Pinned` bridge is held against `posterior` too, and its halves against each other.

    Raises:
        TypeError: not a `Bridge`.
        ValueError: an unknown level.
    """
    if not isinstance(bridge, Bridge):
        raise TypeError(f"check_bridge takes a Bridge, got {type(bridge).__name__}; subclass it, or write Pinned(sde)")
    looks = [ends, rates, tensors, flow]
    looks += [posterior, halves] if isinstance(bridge, Pinned) else []
    return run_checks(type(bridge).__name__, level, [(look.__name__, partial(look, bridge)) for look in looks])


def ends(bridge: Bridge) -> Iterator[Finding]:
    """x_0 at 0 and x_1 at the horizon."""
    for t, wanted in ((0.0, (1.0, 0.0, 0.0)), (bridge.horizon, (0.0, 1.0, 0.0))):
        found = levels(bridge.junction(t))
        error = max(abs(a - b) for a, b in zip(found, wanted, strict=True))
        yield verdict(f"the end at t = {t:g}", error, 1e-7, example=f"(a, b, c) = {found}, not {wanted}", read=HOME)


def rates(bridge: Bridge) -> Iterator[Finding]:
    """The rates are the derivatives of the junction, by automatic differentiation."""
    worst, example = 0.0, ""
    for share in TIMES:
        t = torch.full((), share * bridge.horizon, dtype=torch.float64, requires_grad=True)
        found, at = bridge.rates(share * bridge.horizon), bridge.junction(t)
        wanted = [_derivative(level, t) for level in (at.a, at.b, at.c)]
        given = [
            float(found.a),
            float(found.b),
            float(found.relative_c) * levels(bridge.junction(share * bridge.horizon))[2],
        ]
        for name, one, other in zip(("a'", "b'", "c'"), given, wanted, strict=True):
            error = abs(one - other) * bridge.horizon
            if not error <= worst:
                worst, example = (
                    error,
                    f"{name} at t = {share * bridge.horizon:.4g}: {one:.6g}, by differentiation {other:.6g}",
                )
    yield verdict("rates are derivatives", worst, 1e-8, example=example, read=HOME)


def tensors(bridge: Bridge) -> Iterator[Finding]:
    """The same numbers for floats and for a float64 tensor (B,)."""
    shares = torch.tensor(TIMES, dtype=torch.float64) * bridge.horizon
    junctions, velocities = bridge.junction(shares), bridge.rates(shares)
    worst = 0.0
    for i, t in enumerate(shares.tolist()):
        pairs = [*zip(levels(bridge.junction(t)), _row(junctions, i), strict=True)]
        rate = bridge.rates(t)
        alone = [float(value) for value in (rate.a, rate.b, rate.relative_c)]
        pairs += zip(alone, _row(velocities, i), strict=True)
        worst = max([worst, *(abs(a - b) / max(1.0, abs(a)) for a, b in pairs)])
    yield verdict("floats and tensors agree", worst, 1e-12, cause=FLOATS, read=HOME)


def flow(bridge: Bridge) -> Iterator[Finding]:
    """On Gaussian pairs the flow's slope is that of the mean and of the deviation."""
    exact = ExactEnds(PLAN)
    drift = _drift(bridge_flow(bridge, exact))
    worst, example, h = 0.0, "", 1e-5 * bridge.horizon
    for share in TIMES:
        t = share * bridge.horizon
        (m0, s0), (m1, s1), (m2, s2) = (_moments(exact, bridge.junction(t + k * h)) for k in (-1, 0, 1))
        found = drift(torch.tensor([[m1], [m1 + s1]], dtype=torch.float64), t)[:, 0].tolist()
        wanted = (m2 - m0) / (2 * h), (m2 + s2 - m0 - s0) / (2 * h)
        error = max(abs(a - b) for a, b in zip(found, wanted, strict=True)) * bridge.horizon
        if not error <= worst:
            worst, example = error, f"at t = {t:.4g}: {found}, the law moves by {wanted}"
    yield verdict("the flow moves the law", worst, 1e-5, example=example, read="sde_diffusion/junction.py")


def posterior(bridge: Pinned) -> Iterator[Finding]:
    """Mean and deviation of `sde.posterior` from the horizon."""
    x0, x1 = (torch.tensor([[value]], dtype=torch.float64) for value in (0.7, -1.3))
    worst = 0.0
    for share in TIMES:
        t = share * bridge.horizon
        mean, std = bridge.sde.posterior(x1, x0, bridge.horizon, t)
        at = bridge.junction(t)
        worst = max(worst, (at.mean(x0, x1) - mean).abs().item(), abs(float(at.c) - float(std)))
    yield verdict("the junction is the process's posterior", worst, 1e-12, read="sde_diffusion/sde/pinned.py")


def halves(bridge: Pinned) -> Iterator[Finding]:
    """Each half is the other one reversed: the drifts differ by g^2 times the score, and both are `bridge_sde` with s = g."""
    exact, x = ExactEnds(PLAN), torch.tensor([[0.3], [-1.1]], dtype=torch.float64)
    worst, other = 0.0, 0.0
    for share in TIMES:
        t = share * bridge.horizon
        up, down = (_drift(half_bridge(bridge, exact, way))(x, t) for way in ("far", "near"))
        at = bridge.junction(t)
        score, g = at.score(x, *exact(x, at)), float(bridge.sde.g(t))
        size = 1 + up.abs().max().item() + down.abs().max().item()
        worst = max(worst, (up - down - g**2 * score).abs().max().item() / size)
        for way, half in (("far", up), ("near", down)):
            general = _drift(bridge_sde(bridge, exact, bridge.sde.g, way))(x, t)  # pyright: ignore[reportArgumentType]
            other = max(other, (general - half).abs().max().item() / size)
    yield verdict("the halves reverse each other", worst, 1e-8, read="sde_diffusion/reversal/half_bridge.py")
    yield verdict("the halves are the bridge's SDE", other, 1e-8, read="sde_diffusion/reversal/bridge_flow.py")


def levels(junction: Junction) -> tuple[float, float, float]:
    """(a, b, c) as floats."""
    return float(junction.a), float(junction.b), float(junction.c)


def _row(record: object, i: int) -> list[float]:
    return [float(torch.as_tensor(value).expand(len(TIMES))[i]) for value in vars(record).values()]


def _drift(reversal: Any) -> Any:
    return reversal.equation.drift


def _derivative(level: Any, t: Tensor) -> float:
    if not isinstance(level, Tensor) or not level.requires_grad:
        return 0.0
    return torch.autograd.grad(level, t, retain_graph=True)[0].item()


def _moments(exact: ExactEnds, junction: Junction) -> tuple[float, float]:
    law = exact.moments.marginal(junction)
    return law.mean.item(), math.sqrt(law.variance.item())
