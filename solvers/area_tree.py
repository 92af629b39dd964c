r"""A Wiener path with its time integral, both functions of (seed, sample, t): what methods of order 1.5 need.

The tree of `solvers.dyadic_tree` for the Gaussian Markov process (W, A), A(t) the integral of W from lo to t. Over an
interval [a, b] of length h let D = W(b) - W(a), and H = H(a, b) the space-time Levy area of `solvers.wiener`:

    D ~ N(0, h),   H ~ N(0, h/12),   independent;   A(b) = A(a) + h (W(a) + D/2 + H)                               (1)

With x = (t - a)/h, y = 1 - x and q = 1 - 3 x y, the distribution of both over [a, t] given D and H is

    W(t) - W(a) = x D + 6 x y H + zeta,                       zeta = sqrt(h x y q) Z                               (2)
    H(a, t)     = x^2 H - x^2/(2 q) zeta + sqrt(h x y^3/(12 q)) N                                                  (3)

with Z and N independent standard normal. Derivation: let D', H' belong to [a, t] and D'', H'' to [t, b], all four
independent. (1) over both pieces gives

    D = D' + D'',   H = (y D' - x D'')/2 + x H' + y H'',                                                           (4)

whence Cov(D', H) = h x y/2, Cov(H', H) = h x^2/12, Cov(H', D) = 0; conditioning D', then H' on D' as well, gives (2)
and (3). At x = 1/2 these are Z/4 and N/sqrt(48), times sqrt(h), and the upper half has the opposite signs of both.

From (1), for any t and s, the path is consistent under refinement (Chen's relation), to rounding:

    H(t, s) = (A(s) - A(t))/(s - t) - (W(t) + W(s))/2                                                              (5)

The subtraction in (5) leaves an error of about 2e-16 |A|/|s - t|; near lo A is small and nothing cancels. Everything is
float64 until they are returned. This is another path than the `WienerTree` of the same seed, and costs twice as much.

References:
    Foster, Lyons & Oberhauser, An optimal polynomial approximation of Brownian motion, 2020,
        https://arxiv.org/abs/1904.06998 (the midpoint)
    Jelincic, Foster & Kidger, Single-seed generation of Brownian paths and integrals for adaptive and high order SDE
        solvers, 2024, https://arxiv.org/abs/2405.06464 (any t)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from solvers.dyadic_tree import DyadicTree, Values
from solvers.elementwise import along
from solvers.path_times import Time, root
from solvers.wiener import AreaPath


class AreaTree(DyadicTree, AreaPath):
    """(W(t), A(t)) as a function of (seed, sample index, t). Arguments and refusals: `DyadicTree`.

    A state is (W(a), A(a), D, H), a value (W(t), A(t)), each float64 (B, n).
    """

    root_deviations = (1.0, math.sqrt(1 / 12))
    half_deviations = (1 / 4, math.sqrt(1 / 48))

    def increment(self, t: Time, s: Time) -> Tensor:
        """W(s) - W(t), shape (B, *E). Raises ValueError for a time outside the span."""
        t, s = self.spec.times(t, s)
        before, after = self.at(t)[0], self.at(s)[0]
        return self._shaped(after - before)

    def increment_and_area(self, t: Time, s: Time) -> tuple[Tensor, Tensor]:
        """W(s) - W(t), and H(t, s) of (5), which is 0 where t = s; each (B, *E). Raises ValueError as `increment`."""
        t, s = self.spec.times(t, s)
        (before, first), (after, second) = self.at(t), self.at(s)
        mean = (second - first).div_(along(_apart(t, s), first))
        area = mean.sub_(before + after, alpha=0.5).mul_(along(_differ(t, s), first))
        return self._shaped(after - before), self._shaped(area)

    @staticmethod
    def precision(asked: torch.dtype) -> torch.dtype:
        """float64, for every dtype."""
        return torch.float64

    def whole(self, z: Values) -> Values:
        """W(lo) = A(lo) = 0, and the distribution (1) of D and H."""
        return torch.zeros_like(z[0]), torch.zeros_like(z[0]), *z

    def halves(self, state: Values, z: Values, length: Time) -> tuple[Values, Values]:
        """(2) and (3) at x = 1/2, in both halves."""
        w, a, d, h = state
        half, bend = 0.5 * d, (1.5 * h).add_(z[0])
        tilt = (0.25 * h).sub_(z[0], alpha=0.5)
        lower, upper = half + bend, half - bend
        below, above = tilt + z[1], tilt - z[1]
        return (w, a, lower, below), (w + lower, _integral(w, a, lower, below, length / 2), upper, above)

    def inside(self, state: Values, z: Values, length: Time, w: Time) -> Values:
        """(2), (3) and (1), with the same roundings for w of shape (B,) as for a float."""
        at_a, integral, d, h = state
        x, y = w, 1 - w
        xy = x * y
        q = 1 - 3 * xy
        zeta = z[0] * along(4 * root(xy * q), d)
        moved = (d * along(x, d)).add_(h * along(6 * xy, d)).add_(zeta)
        area = (h * along(x * x, d)).sub_(zeta * along(x * x / (2 * q), d))
        area.add_(z[1] * along(2 * root(xy * y * y / q), d))
        return at_a + moved, _integral(at_a, integral, moved, area, length * x)

    def _shaped(self, value: Tensor) -> Tensor:
        return value.to(self.spec.dtype).reshape(self.spec.shape)


def _integral(w: Tensor, a: Tensor, d: Tensor, h: Tensor, length: Time) -> Tensor:
    """A at the end of an interval by (1), from W and A at its beginning, D and H."""
    return torch.add(w, d, alpha=0.5).add_(h).mul_(along(length, a)).add_(a)


def _apart(t: Time, s: Time) -> Time:
    """s - t, or 1 where it is 0."""
    return torch.where(t == s, 1.0, s - t) if isinstance(t, Tensor) else (s - t or 1.0)


def _differ(t: Time, s: Time) -> Time:
    """1 where t and s differ, else 0."""
    return (t != s).to(torch.float64) if isinstance(t, Tensor) else float(t != s)
