r"""A Wiener path that is a function of (seed, sample, t) alone: any times, in any order, as often as one likes.

Let the span be [lo, hi], T = hi - lo. Interval k of level l is lo + T 2^-l [k, k + 1]; its number in the heap order of
the binary tree is q = 2^l + k. Each number names one standard normal variable Z_q for each sample and element:

    W(lo) = 0,   W(hi) = sqrt(T) Z_0                                                                              (1)
    W(t) = (1 - w) W(a) + w W(b) + sqrt(w (1 - w) (b - a)) Z_q,   w = (t - a)/(b - a)                             (2)

An interval that is no leaf is asked by (2) at its midpoint only, w = 1/2, which is an end of both intervals of the next
level. A leaf is asked by (2) at any t inside. The leaves are the first intervals on the way down that are short against
their distance from the nearer end of the span,

    b - a <= 2^-R min(a - lo, hi - b),   or of level 42, whatever their place,                                     (3)

so that the leaves shrink towards both ends, where grids are dense. W is continuous: (2) returns W(a) and W(b) at the
ends.

The law. Times of which no two lie inside one leaf (its ends not counted) have EXACTLY the joint law of a Wiener
process. Proof: given its values at a and b, a Wiener process at one t between them is normal with the mean (1 - w) W(a)
+ w W(b) and the variance w (1 - w)(b - a), independent of the process outside [a, b] (a Brownian bridge, and the Markov
property). Hence, by induction down the levels, the values at the ends of all leaves have the law of a Wiener process.
Given these, the Wiener process inside different leaves is independent, and so is (2), with a variable for each leaf;
each has the right conditional law at its one time. QED.

Which grids that allows. A grid from lo to hi of N <= 2^R steps that do not shrink from one end to the other (uniform,
power, geometric, ...) has at most one time inside each leaf, as long as its steps exceed 2^-42 T. Proof: let the steps
grow from lo. The step before t_i is at least the mean of those so far, (t_i - lo)/i >= 2^-R (t_i - lo), which by (3) is
more than the length of a leaf that holds both its ends. QED.

What is approximate: several times inside one leaf. Each W(t) alone still has its exact law, jointly with all times
outside the leaf, but the times inside share one Z: the increment between them has too small a variance. What is lost is
bounded by the leaf's own bridge, of variance (b - a)/4 at most.

The ends of the span may be given in either order: it is the same path. Arithmetic on times is float64; the values are
kept in the dtype of the path (float32 for the half precisions), and every operation is one of elements with a rounding
of its own, so that the bits depend neither on the batch nor on what was asked before. Remembered are the last way down
(R + 4 states in the middle of the span, up to 44 at its ends) and the last two values: a walk over N steps computes
about R - log2 N + 5 new variables for each step, and asking again computes none. One path serves one thread at a time.

References:
    Levy, Processus stochastiques et mouvement brownien, 1948 (the midpoints of (2))
    Li, Wong, Chen & Duvenaud, Scalable Gradients for Stochastic Differential Equations, 2020,
        https://arxiv.org/abs/2001.01328 (the path as a virtual tree of keys)
    Jelincic, Foster & Kidger, Single-seed generation of Brownian paths and integrals for adaptive and high order SDE
        solvers, 2024, https://arxiv.org/abs/2405.06464 (one draw of the exact bridge in the leaf)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from solvers.elementwise import along
from solvers.random import counters, gaussians, words
from solvers.wiener import PathSpec, SeededPath, Time, root

_DEEPEST = 42  # the last level: 2^-42 T is still 2000 units in the last place of a float64 time
_AT_ONCE = 2**18  # normal numbers drawn in one call, unless one row has more: about what a cache holds
_SLACK = 2.0**-40  # of the span: rounding of a grid's ends
_SPREAD = 0x9E3779B97F4A7C15 - 2**64  # odd: numbers of intervals, multiplied by it, fill 64 bits


Integer = TypeVar("Integer", int, Tensor)


class Leaf(NamedTuple, Generic[Integer]):
    """A leaf's number q and level l, for all samples (integers) or one for each (int64 tensors of shape (B,))."""

    number: Integer
    level: Integer


class WienerTree(SeededPath):
    """W(t) as a function of (seed, sample index, t): additive increments, whatever was asked before.

    Times outside the span are refused. Times that are floats share one way down, and what it has in common with the
    last one; times of shape (B,) go the whole way for each question.

    Args:
        spec: what to construct the path from.
        max_steps: 2^R. Grids of at most so many steps have the exact law; fewer are cheaper. Two paths that differ in
            it alone agree wherever both have leaves' ends, not inside the leaves.

    Raises:
        ValueError: max_steps is not between 1 and 2^30; a time is outside the span.
    """

    def __init__(self, spec: PathSpec, max_steps: int = 2**12) -> None:
        if not 1 <= max_steps <= 2**30:
            raise ValueError(f"a tree serves grids of 1 to 2^30 steps, got max_steps={max_steps}; 2^12 is the default")
        super().__init__(spec)
        self.max_steps = max_steps
        self._resolution = (max_steps - 1).bit_length()
        self._low, self._span = min(spec.start, spec.stop), abs(spec.stop - spec.start)
        self._variables = _Variables(spec, self._span)
        self._stack = _Stack(self._variables)
        self._recent: list[tuple[Time, Tensor]] = []

    def increment(self, t: Time, s: Time) -> Tensor:
        """W(s) - W(t), shape (B, *E). Raises ValueError for a time outside the span."""
        t, s = self.spec.times(t, s)
        before, after = self._value(t), self._value(s)
        return (after - before).to(self.spec.dtype).reshape(self.spec.shape)

    def _derive(self, spec: PathSpec) -> Self:
        return type(self)(spec, self.max_steps)

    def _value(self, t: Time) -> Tensor:
        """W(t), shape (B, n); the last two are remembered."""
        for time, value in self._recent:
            if _same(time, t):
                return value
        u = (t - self._low) / self._span
        self._check(t, u)
        if isinstance(u, Tensor):
            leaf, w = _locate_each(u.clamp(0, 1), self._resolution)
            value = _bridge(*_descend_each(self._variables, leaf), w)
        else:
            leaf, w = _locate(min(max(u, 0.0), 1.0), self._resolution)
            value = _bridge(*self._stack.descend(leaf), w)
        self._recent = [*self._recent[-1:], (t.clone() if isinstance(t, Tensor) else t, value)]
        return value

    def _check(self, t: Time, u: Time) -> None:
        if isinstance(u, Tensor) and not u.numel():
            return
        first, last = (u.min(), u.max()) if isinstance(u, Tensor) else (u, u)
        if not (first >= -_SLACK and last <= 1 + _SLACK):
            span = f"[{self._low}, {self._low + self._span}]"
            raise ValueError(f"the path spans {span} and was asked at {t}; construct it over all times of the solve")


def _locate(u: float, resolution: int) -> tuple[Leaf[int], float]:
    """The leaf that holds u in [0, 1], and w of (2). (3) reads min(k, 2^l - 1 - k) >= 2^R."""
    k = min(int(u * 2**_DEEPEST), 2**_DEEPEST - 1)
    from_end = min(k, 2**_DEEPEST - 1 - k)
    level = min(_DEEPEST, _DEEPEST + resolution + 1 - from_end.bit_length())
    k >>= _DEEPEST - level
    return Leaf(2**level + k, level), u * 2.0**level - k


def _locate_each(u: Tensor, resolution: int) -> tuple[Leaf[Tensor], Tensor]:
    """`_locate` for u of shape (B,)."""
    k = (u * 2**_DEEPEST).to(torch.int64).clamp(max=2**_DEEPEST - 1)
    from_end = torch.minimum(k, 2**_DEEPEST - 1 - k)
    bit_length = torch.frexp(from_end.to(torch.float64)).exponent.to(torch.int64)
    level = (_DEEPEST + resolution + 1 - bit_length).clamp(max=_DEEPEST)
    k >>= _DEEPEST - level
    intervals = 1 << level
    return Leaf(intervals + k, level), u * intervals.to(torch.float64) - k


class _Variables:
    """The normal variables on the way down to a leaf, each times its standard deviation.

    Row 0 is W(hi) of (1); row l + 1 belongs to the interval of level l, whose number is q >> (level of the leaf - l),
    and is scaled for its midpoint: by sqrt(b - a)/2.
    """

    def __init__(self, spec: PathSpec, span: float) -> None:
        self.shape, self.device = (spec.shape[0], spec.size), spec.device
        self.dtype = torch.promote_types(spec.dtype, torch.float32)
        self._keys = spec.keys()[:, None]
        self._counters = counters(spec.size, spec.device)
        self._levels = torch.arange(-1, _DEEPEST + 1, device=spec.device)[:, None]
        deviations = [1.0, *(2.0 ** (-level / 2 - 1) for level in range(_DEEPEST + 1))]
        scales = math.sqrt(span) * torch.tensor(deviations, dtype=torch.float64)
        self._scales = scales.to(spec.device)[:, None, None]

    def fresh(self, leaf: Leaf, first: int, last: int) -> Iterator[Tensor]:
        """The variables of the rows from `first` to `last`, each (B, n). Rows below a sample's leaf mean nothing."""
        stride = max(1, _AT_ONCE // max(1, math.prod(self.shape)))
        for row in range(first, last + 1, stride):
            yield from self._draw(leaf, slice(row, min(row + stride, last + 1))).unbind(0)

    def _draw(self, leaf: Leaf, rows: slice) -> Tensor:
        names = (leaf.number >> (leaf.level - self._levels[rows])) * _SPREAD
        scrambled = words(self._keys, words(names[..., None], self._counters))
        return gaussians(scrambled, self.shape[1], self._scales[rows]).to(self.dtype)


class _Stack:
    """The last way down for a time that all samples share: what the next way has in common with it is not drawn again.

    Row 0 holds W(hi), row l + 1 the W of the midpoint of the interval of level l, and the last row the leaf's variable.
    """

    def __init__(self, variables: _Variables) -> None:
        self._variables = variables
        self._zero = torch.zeros(variables.shape, dtype=variables.dtype, device=variables.device)
        self._rows: list[Tensor] = []
        self._leaf = Leaf(0, 0)

    def descend(self, leaf: Leaf[int]) -> tuple[Tensor, Tensor, Tensor]:
        """W at the two ends of a leaf, and its variable: each (B, n)."""
        number, level = leaf
        rows = self._rows[: self._shared(leaf)]
        fresh = self._variables.fresh(leaf, len(rows), level + 1)
        if not rows:
            rows.append(next(fresh).clone())
        left, right = self._zero, rows[0]
        for row in range(1, level + 1):
            if row == len(rows):
                rows.append(_midpoint(next(fresh), left, right))
            left, right = (rows[row], right) if number >> (level - row) & 1 else (left, rows[row])
        if len(rows) == level + 1:
            rows.append(next(fresh).clone())
        self._rows, self._leaf = rows, leaf
        return left, right, rows[-1]

    def _shared(self, leaf: Leaf[int]) -> int:
        """How many rows the way to this leaf has in common with the last way."""
        if leaf == self._leaf:
            return leaf.level + 2
        level = min(leaf.level, self._leaf.level)
        here, there = leaf.number >> (leaf.level - level), self._leaf.number >> (self._leaf.level - level)
        return level + 2 - (here ^ there).bit_length()


def _descend_each(variables: _Variables, leaf: Leaf[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """W at the two ends of each sample's own leaf, and its variable: each (B, n)."""
    number, level = leaf.number[:, None], leaf.level[:, None]
    deepest = int(level.max()) if level.numel() else 0
    fresh = variables.fresh(leaf, 0, deepest + 1)
    right = next(fresh)
    left = variable = torch.zeros_like(right)
    for row, z in enumerate(fresh, start=1):
        variable = torch.where(level == row - 1, z, variable)
        middle = _midpoint(z, left, right)
        inside = level >= row
        upper = (number >> (level - row) & 1).bool()
        left = torch.where(inside & upper, middle, left)
        right = torch.where(inside & ~upper, middle, right)
    return left, right, variable


def _midpoint(z: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """Equation (2) at w = 1/2. Halving is exact: fused or not, each sum is rounded once, to the same bits."""
    return torch.add(z, left, alpha=0.5).add_(right, alpha=0.5)


def _bridge(left: Tensor, right: Tensor, variable: Tensor, w: Time) -> Tensor:
    """Equation (2), shape (B, n), with the same roundings for w of shape (B,) as for a float."""
    spread = along(2 * root(w * (1 - w)), left)
    return (right - left).mul_(along(w, left)).add_(left).add_(variable * spread)


def _same(a: Time, b: Time) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b
