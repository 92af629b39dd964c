"""Equations are data: frozen records of callables, no behaviour.

Shapes: a state x is (B, *E); a time t is a float (one time for the whole batch) or a float64 tensor (B,) (one for each
sample). Time may run in either direction: a step from t to s uses the signed step s - t and the signed increment
W(s) - W(t), whose variance is |s - t|.

Convention: every stochastic equation is meant in the sense of Ito. Integrated downwards, dx = drift dt + diffusion dW
reads x_s = x_t + drift(x_t, t) (s - t) + diffusion(t) (W(s) - W(t)): the coefficients are taken where the step begins,
and past increments are independent of later ones, in whichever direction time runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor

from solvers.elementwise import Coefficient
from solvers.grids import Spacing

Field = Callable[[Tensor, Coefficient], Tensor]
"""A vector field (x: (B, *E), t) -> (B, *E)."""


@dataclass(frozen=True)
class Equation:
    """What a method integrates. `stochastic` says whether it needs a noise path.

    Attributes:
        select: rows of the batch, a boolean mask (B,) or int64 indices (R,), to the equation of these samples; None where
            all samples share one equation. Whatever solves for a part of a batch, or repeats it, uses `select_rows`.
        spacing: the time grid that suits the equation's time variable, in either direction; None for equal steps.
    """

    stochastic: ClassVar[bool] = False
    select: Callable[[Tensor], Equation] | None = field(default=None, kw_only=True, repr=False)
    spacing: Spacing | None = field(default=None, kw_only=True, repr=False)


@dataclass(frozen=True)
class ODE(Equation):
    """dx/dt = drift(x, t)."""

    drift: Field


@dataclass(frozen=True)
class ItoSDE(Equation):
    """dx = drift(x, t) dt + diffusion(t) dW with additive noise: diffusion(t) is one number for each time."""

    stochastic: ClassVar[bool] = True
    drift: Field
    diffusion: Callable[[Coefficient], Coefficient]


@dataclass(frozen=True)
class DiagonalSDE(Equation):
    """dx = drift(x, t) dt + diffusion(x, t) * dW, coordinate by coordinate: diffusion has the shape of x."""

    stochastic: ClassVar[bool] = True
    drift: Field
    diffusion: Field


@dataclass(frozen=True)
class SemilinearODE(Equation):
    """dy/dt = rate y + forcing(y, t), with a constant rate: exponential methods integrate the linear part exactly."""

    rate: float
    forcing: Field


@dataclass(frozen=True)
class SemilinearSDE(Equation):
    """dy = (rate y + forcing(y, t)) dt + dN with N a Gaussian martingale.

    `spread(t, s)` is the standard deviation of the stochastic convolution, the integral over [t, s] of
    exp(rate (s - tau)) dN(tau), in closed form.
    """

    stochastic: ClassVar[bool] = True
    rate: float
    forcing: Field
    spread: Callable[[Coefficient, Coefficient], Coefficient]


@dataclass(frozen=True)
class RenoisedODE(Equation):
    """dx/dt = drift(x, t), whose distribution at t becomes that at t' by adding noise N(0, spread(t, t')^2 I)."""

    stochastic: ClassVar[bool] = True
    drift: Field
    spread: Callable[[Coefficient, Coefficient], Coefficient]


@dataclass(frozen=True)
class MarkovChain(Equation):
    """x_s given x_t is N(mean(x_t, t, s), spread(t, s)^2 I), for any two times t and s of a grid."""

    stochastic: ClassVar[bool] = True
    mean: Callable[[Tensor, Coefficient, Coefficient], Tensor]
    spread: Callable[[Coefficient, Coefficient], Coefficient]


@dataclass(frozen=True)
class TargetFamily(Equation):
    """A transport equation together with the distributions p_t that it should follow, each known by its score.

    A predictor integrates `transport`; a corrector runs a Markov chain at fixed t that leaves p_t invariant, with steps
    in proportion to `scale(t)`, the length over which the score of p_t changes.
    """

    stochastic: ClassVar[bool] = True
    transport: Equation
    score: Field
    scale: Callable[[Coefficient], Coefficient]


@dataclass(frozen=True)
class Density(Equation):
    """A density p to leave invariant: log_prob (B, *E) -> (B,), up to a constant, and score (B, *E) -> (B, *E)."""

    stochastic: ClassVar[bool] = True
    log_prob: Callable[[Tensor], Tensor]
    score: Callable[[Tensor], Tensor]


def select_rows(value: Any, rows: Tensor) -> Any:
    """`value.select(rows)` for an equation, a denoiser or anything else whose samples differ; otherwise the value itself.

    `rows` is a boolean mask (B,) or int64 indices (R,), which may repeat.
    """
    select = getattr(value, "select", None)
    return value if select is None else select(rows)
