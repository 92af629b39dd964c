r"""A Wiener path that is a function of (seed, sample, t) alone: any times, in any order, as often as one likes.

The tree of `solvers.dyadic_tree` for W. Each interval has one variable Z_q, with Z_0 the span's:

    W(lo) = 0,   W(hi) = sqrt(T) Z_0                                                                              (1)
    W(t) = (1 - w) W(a) + w W(b) + sqrt(w (1 - w) (b - a)) Z_q,   w = (t - a)/(b - a)                             (2)

(2) is the Brownian bridge: given W(a) and W(b), the exact distribution of W at one t between. An interval that is no leaf
is evaluated by (2) at its midpoint only, w = 1/2; a leaf at any t inside. W is continuous: (2) returns W(a) and W(b) at the
ends. What is lost by several times inside one leaf is bounded by the leaf's own bridge: the increment between them has
too small a variance, by (b - a)/4 at most.

Values are kept in the dtype of the path (float32 for the half precisions).
"""

from __future__ import annotations

import torch
from torch import Tensor

from solvers.dyadic_tree import DyadicTree, Values
from solvers.elementwise import along
from solvers.path_times import Time, root


class WienerTree(DyadicTree):
    """W(t) as a function of (seed, sample index, t): additive increments. Arguments and refusals: `DyadicTree`."""

    root_deviations = (1.0,)
    half_deviations = (0.5,)

    def increment(self, t: Time, s: Time) -> Tensor:
        """W(s) - W(t), shape (B, *E). Raises ValueError for a time outside the span."""
        t, s = self.spec.times(t, s)
        (before,), (after,) = self.at(t), self.at(s)
        return (after - before).to(self.spec.dtype).reshape(self.spec.shape)

    @staticmethod
    def precision(asked: torch.dtype) -> torch.dtype:
        """The given dtype, float32 at least."""
        return torch.promote_types(asked, torch.float32)

    def whole(self, z: Values) -> Values:
        """W at both ends, by (1)."""
        return torch.zeros_like(z[0]), z[0]

    def halves(self, state: Values, z: Values, length: Time) -> tuple[Values, Values]:
        """(2) at w = 1/2. Halving is exact: fused or not, each sum is rounded once, to the same bits."""
        left, right = state
        middle = torch.add(z[0], left, alpha=0.5).add_(right, alpha=0.5)
        return (left, middle), (middle, right)

    def inside(self, state: Values, z: Values, length: Time, w: Time) -> Values:
        """(2), with the same roundings for w of shape (B,) as for a float."""
        left, right = state
        spread = along(2 * root(w * (1 - w)), left)
        return ((right - left).mul_(along(w, left)).add_(left).add_(z[0] * spread),)
