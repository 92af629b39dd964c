r"""How long the next step may be: the error norm of a sample, its tolerance, the controller, and the first step.

All of it is done for each sample on its own. With e the estimated error of a step of length h, x and x' the states at
its ends, k the power of h that the estimate follows, and |.| the root mean square over the sample,

    q = |e| / (atol + rtol min(|x|, |x'|)),      a step is accepted where q <= 1,                                  (1)
    h' = h clip(S q^-a p^b min(1, r/q)^(c/k)),   a = 1/k - 3 b/4,                                                  (2)
    h_0 = ((k-1)! c/X)^(1/k) X/|f|,                  c = atol + rtol |x|, X = max(|x|, c), f the first field.     (3)

p is the quotient of the accepted step before, of length h_p, and r = p (h/h_p)^k what q would be had the equation stayed
as it was. Where q is larger, the equation grows harder along the way, as a flow does from the noise to the data, and the
next step is made shorter by a part c of what that foretells. Where it grows easier, nothing is foretold.

The smaller of the two states sets the scale of (1). Where a flow carries a state of size 80 to one of size 1, the
larger one would allow an error of 80 rtol in what remains, and a step over everything that matters would be accepted:
that is how an adaptive solver in the noise level sigma returns garbage at a loose tolerance.

(3) is, but for S, the length at which the term of order k of an exponential, (|f| h/X)^k/k!, is the k-th part of the
error allowed, and costs no evaluation; Hairer's first step evaluates the field once more to measure its change. No
step is longer than a quarter of the span, so that an error estimate that vanishes (a field that is zero at all
stages, far from the data) cannot carry a sample past a part of the field that it has not evaluated. The rest of the
way is divided evenly.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.4, equations (4.11) to (4.14)
    Hairer & Wanner, Solving Ordinary Differential Equations II, 1996, section IV.2, equation (2.43c)
    Hairer & Wanner, the same, section IV.8, equation (8.21), for the step that a trend foretells
    Gustafsson, Control theoretic techniques for stepsize selection in explicit Runge-Kutta methods, 1991,
        https://doi.org/10.1145/210232.210242
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

LONGEST_SHARE = 4
"""The span over the longest step."""


def root_mean_square(x: Tensor) -> Tensor:
    """sqrt(mean(x^2)) over the sample, (B, *E) -> (B,), float64, without gradients.

    Summed by halves, by operations on elements alone: the order of the additions, and with it the last bit, depends on
    the sample's size and not on the batch's.
    """
    squares = x.detach().reshape(x.shape[0], -1).to(torch.float64).square()
    n = size = squares.shape[1]
    while n > 1:
        half = n // 2
        squares = torch.cat((squares[:, :half] + squares[:, half : 2 * half], squares[:, 2 * half : n]), 1)
        n -= half
    return (squares[:, 0] / size).sqrt()


@dataclass(frozen=True)
class Tolerance:
    """The error that a step may have: atol + rtol |x|, in units of the state.

    Raises:
        ValueError: tolerances that nothing or everything satisfies.
    """

    rtol: float
    atol: float

    def __post_init__(self) -> None:
        if not (0 <= self.rtol <= 0.1 and 0 <= self.atol < math.inf and self.rtol + self.atol > 0):
            raise ValueError(
                f"tolerances need 0 <= rtol <= 0.1 and atol >= 0, not both 0, got rtol={self.rtol}, atol={self.atol}; "
                "begin with 1e-3 for both: beyond a tenth of the state an estimate says nothing of the error"
            )

    def at(self, size: Tensor) -> Tensor:
        """The error allowed where |x| is `size`, shape (B,)."""
        return self.atol + self.rtol * size

    def quotient(self, error: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """q of (1) for the root mean squares of e, x and x', each (B,); infinite where one is not finite."""
        quotient = error / self.at(torch.minimum(before, after))
        return torch.where(quotient.isfinite() & after.isfinite(), quotient, math.inf)


class Before(NamedTuple):
    """The lengths and the quotients of the accepted steps before, each (B,): 0 and 1 where there was none."""

    step: Tensor
    quotient: Tensor


@dataclass(frozen=True)
class Controller:
    """Equation (2), and (3).

    Attributes:
        exponent: k, the power of h that the error estimate follows.
        safety: S, how much shorter a step is made than it might be.
        memory: b, the weight of the step before; 0 leaves an elementary controller.
        trend: c, how far a growing difficulty is taken to go on growing; 0 where errors are random.
        shortest, longest: the bounds of the clip.
    """

    exponent: float
    safety: float = 0.9
    memory: float = 0.04
    trend: float = 0.7
    shortest: float = 0.2
    longest: float = 5.0

    def first(self, tolerance: Tolerance, x: Tensor, field: Tensor, span: float) -> Tensor:
        """The length of the first step, shape (B,), for states and their fields, each (B, *E)."""
        size, speed = root_mean_square(x), root_mean_square(field)
        allowed = tolerance.at(size)
        size = torch.maximum(size, allowed)
        term = (allowed / size).log() + math.lgamma(self.exponent)
        return (self.safety * (term / self.exponent).exp() * (size / speed)).clamp(max=span / LONGEST_SHARE)

    def next(self, step: Tensor, quotient: Tensor, before: Before, hindered: Tensor) -> Tensor:
        """h' of (2) for steps, their quotients and those before, each (B,).

        A rejected step is shortened by its own quotient alone; the step after it (`hindered`) does not grow.
        """
        accepted = quotient <= 1
        own, past = quotient.clamp(1e-10, 1e10).log(), before.quotient.clamp(min=1e-4).log()
        unforeseen = past + self.exponent * (step / before.step).log() - own
        forward = self.memory * past - (1 / self.exponent - 0.75 * self.memory) * own
        forward = forward + self.trend / self.exponent * unforeseen.clamp(max=0)
        power = torch.where(accepted, forward, -own / self.exponent)
        factor = (self.safety * power.exp()).clamp(self.shortest, self.longest)
        return step * torch.where(accepted & ~hindered, factor, factor.clamp(max=1))
