"""The usual mistakes of a process whose noise depends on the state, undone one at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from torch import Tensor

from sde_diffusion.sde.base import SDE
from sde_diffusion.sde.state_dependent import StateDependentSDE
from solvers.testing.diagnosis import likely

DRIFT_SLOPES = {
    "the drift is Stratonovich's: Ito's has g dg/dx/2 more": 0.25,
    "g dg/dx/2 is added to a drift that is Ito's already": -0.25,
    "the drift lacks g dg/dx: noise that depends on the state moves its own equilibrium": 0.5,
    "g dg/dx is added to the drift once too often": -0.5,
}
"""Multiples of d(g^2)/dx to add."""


REVERSED = "drift and diffusion as the reversal sees them are not those of the process"


def of_reversal(sde: SDE, error: Callable[[SDE], float], allowed: float) -> str:
    """The first corrected reversal that keeps the law."""
    found = (likely([(words, partial(error, corrected))], allowed) for words, corrected in in_reverse(sde))
    return next(filter(None, found), REVERSED)


class Changed(StateDependentSDE):
    """A process with another reverse drift."""

    def __init__(self, sde: StateDependentSDE, reverse: Callable[..., Tensor]) -> None:
        self.sde, self.reverse = sde, reverse
        self.horizon, self.t_min = sde.horizon, sde.t_min

    def drift(self, x, t):
        """The process's own."""
        return self.sde.drift(x, t)

    def diffusion(self, x, t):
        """The process's own."""
        return self.sde.diffusion(x, t)

    def reverse_drift(self, model, x, t, weight):
        """The other."""
        return self.reverse(model, x, t, weight)


def in_reverse(sde: SDE) -> Iterator[tuple[str, SDE]]:
    """Corrected reversals: with the derivative of the noise added, and the library's own formula."""
    if not isinstance(sde, StateDependentSDE):
        return
    own = sde.reverse_drift

    def slope(x: Tensor, t: Any) -> Tensor:
        return StateDependentSDE.noise_slope(sde, x, t)

    def added(model: Any, x: Tensor, t: Any, weight: float) -> Tensor:
        return own(model, x, t, weight) - weight * slope(x, t)

    def whole(model: Any, x: Tensor, t: Any, weight: float) -> Tensor:
        return sde.drift(x, t) - weight * (slope(x, t) + sde.diffusion(x, t) ** 2 * sde.score(model, x, t))

    yield "the reversal leaves out d(g^2)/dx, which stands beside g^2 times the score", Changed(sde, added)
    yield "reverse_drift is not drift - weight (d(g^2)/dx + g^2 score)", Changed(sde, whole)
