r"""The equations of a bridge whose ends are known: its flow, and the SDEs with the same marginals.

With x0_hat, x1_hat and the velocity v of `junction`, for any s(t) >= 0,

    dx/dt = v                                                                                                      (1)
    dx = (v + s^2/2 grad log p_t) dt + s dW upwards,   dx = (v - s^2/2 grad log p_t) dt + s dW downwards           (2)

have the marginals of x_t. Upwards the clock runs from x_0 to x_1, downwards from x_1 to x_0.

References:
    Albergo, Boffi & Vanden-Eijnden, Stochastic Interpolants, 2023, https://arxiv.org/abs/2303.08797, corollary 18
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor

from sde_diffusion.denoisers.base import call_unwritten
from sde_diffusion.denoisers.ends import Ends
from sde_diffusion.reversal.base import SDE_TIME, Reversal
from sde_diffusion.sde.bridge import Bridge
from solvers.elementwise import Coefficient, axpy
from solvers.equations import ODE, Equation, ItoSDE
from solvers.grids import uniform

Towards = Literal["near", "far"]

MARGIN = 1e-4
"""The share of the horizon that a noisy bridge stays away from its ends, where its noise vanishes and its rates do not."""


@dataclass(frozen=True)
class GivenPoints:
    """The start of a bridge: points of one end, which nobody can draw from noise."""

    def from_noise(self, noise: Tensor) -> Tensor:
        """Always a ValueError."""
        raise ValueError(
            "a bridge starts from points of one end, not from noise; write reversal.solve(solver, x, path)"
        )


def bridge_flow(bridge: Bridge, ends: Ends, towards: Towards = "near", margin: float = MARGIN) -> Reversal:
    """Equation (1). `solve(solver, x)` carries points of the other end `towards` an end, inside the margin of a noisy bridge.

    Raises TypeError or ValueError for arguments of the wrong kind.
    """
    check_bridge_arguments("bridge_flow", bridge, ends, towards)

    def velocity(x: Tensor, t: Coefficient) -> Tensor:
        junction = bridge.junction(t)
        return bridge.rates(t).velocity(junction, x, *both(ends, x, junction))

    return in_bridge_time(bridge, ends, ODE(velocity), towards, margin if bridge.noisy else 0.0)


def bridge_sde(
    bridge: Bridge,
    ends: Ends,
    spread: Callable[[Coefficient], Coefficient],
    towards: Towards = "near",
    margin: float = MARGIN,
) -> Reversal:
    """Equation (2) with s(t) = `spread`. For a pinned process and s = sde.g this is `half_bridge`, by both ends.

    Raises TypeError or ValueError for arguments of the wrong kind, and for a bridge without noise, which has no score.
    """
    check_bridge_arguments("bridge_sde", bridge, ends, towards)
    if not bridge.noisy:
        raise ValueError(f"{bridge} has no noise and gives no score; take bridge_flow, or a bridge with eps > 0")
    half = 0.5 if towards == "far" else -0.5

    def drift(x: Tensor, t: Coefficient) -> Tensor:
        junction = bridge.junction(t)
        near, far = both(ends, x, junction)
        velocity = bridge.rates(t).velocity(junction, x, near, far)
        return axpy(velocity, half * spread(t) ** 2, junction.score(x, near, far))

    return in_bridge_time(bridge, ends, ItoSDE(drift, spread), towards, margin)


def both(ends: Ends, x: Tensor, junction: Any) -> tuple[Tensor, Tensor]:
    """Both ends in x's dtype. Raises ValueError where the model wrote into x."""
    near, far = call_unwritten(ends, x, junction)
    return near.to(x.dtype), far.to(x.dtype)


@dataclass(frozen=True)
class EndAt:
    """The finish of a bridge: E[the end | x_t]."""

    bridge: Bridge
    ends: Ends
    towards: Towards

    def __call__(self, x: Tensor, t: float) -> Tensor:
        """The end, shape (B, *E)."""
        end = self.ends.far if self.towards == "far" else self.ends.near
        return end(x, self.bridge.junction(t)).to(x.dtype)


def in_bridge_time(bridge: Bridge, ends: Ends, equation: Equation, towards: Towards, margin: float) -> Reversal:
    """A reversal on the bridge's time that starts at points, with equal steps by default."""
    if not 0 <= margin < 0.5:
        raise ValueError(f"the margin is a share of the horizon in [0, 0.5), got {margin}; take about {MARGIN}")
    low, high = margin * bridge.horizon, (1 - margin) * bridge.horizon
    start, stop = (low, high) if towards == "far" else (high, low)
    finish = EndAt(bridge, ends, towards)
    prior: Any = GivenPoints()
    return Reversal(replace(equation, spacing=uniform), SDE_TIME, start, stop, prior, finish=finish)


def check_bridge_arguments(name: str, bridge: Any, ends: Any, towards: Any) -> None:
    """Raises TypeError or ValueError, in one sentence, unless these are a bridge, its ends and a direction."""
    if not isinstance(bridge, Bridge):
        raise TypeError(f"{name} takes a bridge first, got {type(bridge).__name__}; write {name}(Straight(), ends)")
    if not isinstance(ends, Ends):
        raise TypeError(f"{name} needs both ends, got {type(ends).__name__}; pass PreconditionedEnds(network, network)")
    if towards not in ("near", "far"):
        raise ValueError(f"a bridge runs towards 'near' (x_0) or 'far' (x_1), got {towards!r}; write one of them")
