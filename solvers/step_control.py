r"""How long the next step may be: the error norm of a sample, its tolerance, the controller, and the first step.

All of it is done for each sample on its own. With e the estimated error of a step of length h, x and x' the states at
its ends, and |.| the root mean square over the event,

    q = |e| / (atol + rtol min(|x|, |x'|)),      a step is accepted where q <= 1,                                   (1)
    h' = h clip(S q^-a q0^b),      a = 1/k - 3 b/4,     q0 that of the accepted step before, e ~ h^k.               (2)

The smaller of the two states sets the scale of (1). Where a flow carries a state of size 80 to one of size 1, the
larger one would allow an error of 80 rtol in what remains: a step over everything that matters would be accepted.

References:
    Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I, 1993, section II.4, equations (4.11) to (4.14)
    Hairer & Wanner, Solving Ordinary Differential Equations II, 1996, section IV.2, equation (2.43c)
    Gustafsson, Control theoretic techniques for stepsize selection in explicit Runge-Kutta methods, 1991,
        https://doi.org/10.1145/210232.210242
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def root_mean_square(x: Tensor) -> Tensor:
    """sqrt(mean(x^2)) over the event, (B, *E) -> (B,), float64.

    Summed in halves by operations on elements alone: the order of the additions, and with it the last bit, depends on
    the event's size and not on the batch's.
    """
    squares = x.detach().reshape(x.shape[0], -1).to(torch.float64).square()
    n = size = squares.shape[1]
    while n > 1:
        half, odd = divmod(n, 2)
        squares = torch.cat((squares[:, :half] + squares[:, half : 2 * half], squares[:, n - odd : n]), 1)
        n = half + odd
    return (squares[:, 0] / size).sqrt()


@dataclass(frozen=True)
class Tolerance:
    """The error that a sample's step may have: atol + rtol |x|, in units of the state."""

    rtol: float
    atol: float

    def __post_init__(self) -> None:
        """Raises ValueError for tolerances that nothing or everything satisfies."""
        if not (0 <= self.rtol < 1 and 0 <= self.atol < float("inf") and self.rtol + self.atol > 0):
            raise ValueError(
                f"tolerances need 0 <= rtol < 1 and atol >= 0, not both 0, got rtol={self.rtol}, atol={self.atol}; "
                "begin with 1e-3 for both"
            )

    def quotient(self, error: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """q of (1) for an error and two states, each (B, *E); shape (B,); infinite where anything is not finite."""
        scale = self.atol + self.rtol * torch.minimum(root_mean_square(before), root_mean_square(after))
        return torch.nan_to_num(root_mean_square(error) / scale, nan=float("inf"), posinf=float("inf"))


@dataclass(frozen=True)
class Controller:
    """Equation (2).

    Attributes:
        exponent: k, the power of h that the error estimate follows.
        safety: S, how much shorter a step is made than it might be.
        memory: b, the weight of the step before: 0 leaves an elementary controller.
        shortest, longest: the bounds of the clip.
    """

    exponent: float
    safety: float = 0.9
    memory: float = 0.04
    shortest: float = 0.2
    longest: float = 5.0

    def factor(self, quotient: Tensor, before: Tensor) -> Tensor:
        """h'/h for the quotients of this step and of the accepted one before, each (B,).

        A rejected step is shortened by its own quotient alone, and never lengthened.
        """
        accepted = quotient <= 1
        own, past = quotient.clamp(min=1e-10).log(), before.clamp(min=1e-4).log()
        inward = 1 / self.exponent - 0.75 * self.memory
        power = torch.where(accepted, self.memory * past - inward * own, -own / self.exponent)
        return (self.safety * power.exp()).clamp(self.shortest, self.longest)
