r"""What all paths that are trees of dyadic intervals share: the names of the intervals, the leaves, the way down.

Let the span be [lo, hi], T = hi - lo. Interval k of level l is lo + T 2^-l [k, k + 1]; its number in the heap order of
the binary tree is q = 2^l + k. Each number names d standard normal variables for each sample and element. What is known
of the path on an interval, its state, follows from the state of the interval of which it is a half, and from that one's
variables; the state of the whole span has a name of its own, 0.

An interval that is no leaf is cut in halves. A leaf is evaluated at any one time inside. The leaves are the
first intervals [a, b] on the way down that are short against their distance from the nearer end of the span,

    b - a <= 2^-R min(a - lo, hi - b),   or of level 42, whatever their place,                                     (1)

so that the leaves shrink towards both ends, where grids are dense.

The distribution. Let X be a Gaussian Markov process (W; or W with its integral) whose state of an interval holds what
X does at both its ends, halves have the conditional distribution of X at the midpoint given that, and a leaf returns
a draw of the conditional distribution of X at one time. Then times of which no two lie inside one leaf (its ends not
counted) have EXACTLY the joint distribution of X. Proof: given both ends of [a, b], X inside is independent of X
outside (the Markov property). Hence, by induction down the levels, the values at the ends of all leaves have the
distribution of X. Given these, X inside different leaves is independent, and so are the values, with variables for
each leaf; each has the right conditional distribution at its time. QED.

Which grids that allows. A grid from lo to hi of N <= 2^R steps that do not shrink from one end to the other (uniform,
power, geometric, ...) has at most one time inside each leaf, as long as its steps exceed 2^-42 T. Proof: let the steps
grow from lo. The step before t_i is at least the mean of those so far, (t_i - lo)/i >= 2^-R (t_i - lo), which by (1) is
more than the length of a leaf that holds both its ends. QED. (A uniform grid may have twice as many steps.)

What is approximate: several times inside one leaf. Each value alone still has its exact distribution, jointly with
all times outside the leaf, but the times inside share the leaf's variables.

The ends of the span may be given in either order: it is the same path. Arithmetic on times is float64, and every
operation is one of elements with a rounding of its own, so that the bits depend neither on the batch nor on earlier
calls. The last way down (R + 4 states in the middle of the span, up to 44 at its ends) and the last two values are
cached: a run of N steps computes about R - log2 N + 5 intervals for each step, and a repeated call computes none. One
path serves one thread at a time.

References:
    Levy, Processus stochastiques et mouvement brownien, 1948 (the midpoints)
    Li, Wong, Chen & Duvenaud, Scalable Gradients for Stochastic Differential Equations, 2020,
        https://arxiv.org/abs/2001.01328 (the path as a virtual tree of keys)
    Jelincic, Foster & Kidger, Single-seed generation of Brownian paths and integrals for adaptive and high order SDE
        solvers, 2024, https://arxiv.org/abs/2405.06464 (one draw of the exact bridge in the leaf)
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Generic, NamedTuple, Self, TypeVar

import torch
from torch import Tensor

from solvers.path_times import Time
from solvers.random import counters, fold, folded_words, gaussians, words
from solvers.wiener import KeyedPath, PathSpec

DEEPEST = 42
"""The last level: 2^-42 T is still 2000 units in the last place of a float64 time."""

_AT_ONCE = 2**18  # normal numbers drawn in one call, unless one row has more: about what a cache holds
_SLACK = 2.0**-40  # of the span: rounding of a grid's ends
_SPREAD = 0x9E3779B97F4A7C15 - 2**64  # odd: names of variables, multiplied by it, fill 64 bits

Values = tuple[Tensor, ...]
"""A state, a value, or the variables of an interval: tensors (B, n)."""

Integer = TypeVar("Integer", int, Tensor)


class Leaf(NamedTuple, Generic[Integer]):
    """A leaf's number q and level l, for all samples (integers) or one for each (int64 tensors of shape (B,))."""

    number: Integer
    level: Integer


class DyadicTree(KeyedPath):
    """A path that is a function of (seed, sample index, time), independent of earlier calls.

    Times outside the span are refused. Times that are floats share one way down, and what it has in common with the
    last one; times of shape (B,) go the whole way at each call.

    Args:
        spec: what to construct the path from.
        max_steps: 2^R. Grids of at most so many steps have the exact distribution; fewer are cheaper. Two paths that differ in
            it alone agree where both have leaves' ends, not inside the leaves.

    Raises:
        ValueError: max_steps is not between 1 and 2^30; a time is outside the span.
    """

    root_deviations: ClassVar[tuple[float, ...]]
    """Standard deviations of the whole span's variables, for T = 1."""
    half_deviations: ClassVar[tuple[float, ...]]
    """Standard deviations of the variables that cut an interval of length 1 in halves."""

    def __init__(self, spec: PathSpec, max_steps: int = 2**12) -> None:
        if not 1 <= max_steps <= 2**30:
            raise ValueError(f"a tree serves grids of 1 to 2^30 steps, got max_steps={max_steps}; 2^12 is the default")
        super().__init__(spec)
        self.max_steps = max_steps
        self._resolution = (max_steps - 1).bit_length()
        self._low, self._span = min(spec.start, spec.stop), abs(spec.stop - spec.start)
        self._variables = _Variables(self._keys, spec, self._span, self.precision(spec.dtype), self._deviations())
        self.forget()

    def forget(self) -> None:
        """Drop the cached way down and values, its channels' too."""
        super().forget()
        self._stack = _Stack(self)
        self._recent: list[tuple[Time, Values]] = []

    @staticmethod
    @abstractmethod
    def precision(asked: torch.dtype) -> torch.dtype:
        """The dtype of states, for increments of the given dtype."""

    @abstractmethod
    def whole(self, z: Values) -> Values:
        """The state of the span from its variables."""

    @abstractmethod
    def halves(self, state: Values, z: Values, length: Time) -> tuple[Values, Values]:
        """The states of the lower and the upper half of an interval of a length, from its state and variables."""

    @abstractmethod
    def inside(self, state: Values, z: Values, length: Time, w: Time) -> Values:
        """The value at the share w of a leaf of a length; each a float, or float64 (B,)."""

    def fresh(self, leaf: Leaf, first: int, last: int) -> Iterator[Values]:
        """The variables of rows `first` to `last` on the way to a leaf: row 0 the span's, row l + 1 of its level l."""
        return self._variables.fresh(leaf, first, last)

    def length(self, level: int | Tensor) -> Time:
        """The length of the intervals of a level, or of several."""
        if isinstance(level, Tensor):
            return self._span / (1 << level).to(torch.float64)
        return math.ldexp(self._span, -level)

    def at(self, t: Time) -> Values:
        """The value at t; the last two are cached."""
        for time, value in self._recent:
            if _same(time, t):
                return value
        u = (t - self._low) / self._span
        self._check(t, u)
        value = self._each(u) if isinstance(u, Tensor) else self._shared(u)
        self._recent = [*self._recent[-1:], (t.clone() if isinstance(t, Tensor) else t, value)]
        return value

    def _shared(self, u: float) -> Values:
        leaf, w = locate(min(max(u, 0.0), 1.0), self._resolution)
        state, z = self._stack.descend(leaf)
        return self.inside(state, z, self.length(leaf.level), w)

    def _each(self, u: Tensor) -> Values:
        leaf, w = locate_each(u.clamp(0, 1), self._resolution)
        state, z = _descend_each(self, leaf)
        return self.inside(state, z, self.length(leaf.level), w)

    def _derive(self, spec: PathSpec) -> Self:
        return type(self)(spec, self.max_steps)

    def _deviations(self) -> list[tuple[float, ...]]:
        """Of the rows' variables, for T = 1."""
        halves = [tuple(2.0 ** (-level / 2) * d for d in self.half_deviations) for level in range(DEEPEST + 1)]
        return [self.root_deviations, *halves]

    def _check(self, t: Time, u: Time) -> None:
        if isinstance(u, Tensor) and not u.numel():
            return
        first, last = (u.min(), u.max()) if isinstance(u, Tensor) else (u, u)
        if not (first >= -_SLACK and last <= 1 + _SLACK):
            span = f"[{self._low}, {self._low + self._span}]"
            raise ValueError(f"the path spans {span} and does not hold {t}; construct it over all times of the solve")


def locate(u: float, resolution: int) -> tuple[Leaf[int], float]:
    """The leaf that holds u in [0, 1], and the share w of it below u. (1) reads min(k, 2^l - 1 - k) >= 2^R."""
    k = min(int(u * 2**DEEPEST), 2**DEEPEST - 1)
    from_end = min(k, 2**DEEPEST - 1 - k)
    level = min(DEEPEST, DEEPEST + resolution + 1 - from_end.bit_length())
    k >>= DEEPEST - level
    return Leaf(2**level + k, level), u * 2.0**level - k


def locate_each(u: Tensor, resolution: int) -> tuple[Leaf[Tensor], Tensor]:
    """`locate` for u of shape (B,)."""
    k = (u * 2**DEEPEST).to(torch.int64).clamp(max=2**DEEPEST - 1)
    from_end = torch.minimum(k, 2**DEEPEST - 1 - k)
    bit_length = torch.frexp(from_end.to(torch.float64)).exponent.to(torch.int64)
    level = (DEEPEST + resolution + 1 - bit_length).clamp(max=DEEPEST)
    k >>= DEEPEST - level
    intervals = 1 << level
    return Leaf(intervals + k, level), u * intervals.to(torch.float64) - k


class _Variables:
    """The normal variables on the way down to a leaf, each times its standard deviation.

    Row 0 is the whole span's; row l + 1 belongs to the interval of level l, whose number is q >> (level of the leaf - l).
    """

    def __init__(
        self, keys: Tensor, spec: PathSpec, span: float, dtype: torch.dtype, deviations: list[tuple[float, ...]]
    ) -> None:
        self.shape, self.dtype, self.count = (spec.shape[0], spec.size), dtype, len(deviations[0])
        self._keys = keys
        self._counters = counters(spec.size, spec.device)
        self._levels = torch.arange(-1, DEEPEST + 1, device=spec.device)[:, None, None]
        self._places = torch.arange(self.count, device=spec.device)[:, None]
        scales = math.sqrt(span) * torch.tensor(deviations, dtype=torch.float64)
        self._scales = scales.to(spec.device, non_blocking=True)[..., None, None]

    def fresh(self, leaf: Leaf, first: int, last: int) -> Iterator[Values]:
        """The variables of the rows from `first` to `last`. Rows below a sample's leaf mean nothing."""
        stride = max(1, _AT_ONCE // max(1, self.count * math.prod(self.shape)))
        for row in range(first, last + 1, stride):
            yield from map(torch.unbind, self._draw(leaf, slice(row, min(row + stride, last + 1))).unbind(0))

    def _draw(self, leaf: Leaf, rows: slice) -> Tensor:
        """Shape (rows, count, B, n)."""
        names = ((leaf.number >> (leaf.level - self._levels[rows])) * self.count + self._places) * _SPREAD
        scrambled = folded_words(self._keys, fold(words(names[..., None], self._counters)))
        return gaussians(scrambled, self.shape[1], self._scales[rows]).to(self.dtype)


class _Stack:
    """The last way down for a time that all samples share: what the next way has in common with it is not drawn again.

    `_rows` holds at 0 the state of the span, at l + 1 those of both halves of the interval of level l.
    """

    def __init__(self, tree: DyadicTree) -> None:
        self._tree = tree
        self._rows: list[tuple[Values, ...]] = []
        self._last: Values = ()
        self._leaf = Leaf(0, 0)

    def descend(self, leaf: Leaf[int]) -> tuple[Values, Values]:
        """The state of a leaf, and its variables."""
        if leaf != self._leaf:
            self._walk(leaf)
        return self._chosen(leaf.level, leaf), self._last

    def _walk(self, leaf: Leaf[int]) -> None:
        rows = self._rows[: self._in_common(leaf)]
        fresh = self._tree.fresh(leaf, len(rows), leaf.level + 1)
        self._rows, self._leaf = rows, leaf
        if not rows:
            rows.append((self._tree.whole(_own(next(fresh))),))
        for level in range(len(rows) - 1, leaf.level):
            rows.append(self._tree.halves(self._chosen(level, leaf), next(fresh), self._tree.length(level)))
        self._last = _own(next(fresh))

    def _chosen(self, level: int, leaf: Leaf[int]) -> Values:
        """The state of the interval of a level on the way to the leaf."""
        return self._rows[level][leaf.number >> (leaf.level - level) & 1 if level else 0]

    def _in_common(self, leaf: Leaf[int]) -> int:
        """How many rows the way to this leaf has in common with the last way."""
        level = min(leaf.level, self._leaf.level)
        here, there = leaf.number >> (leaf.level - level), self._leaf.number >> (self._leaf.level - level)
        return min(level + 1, level + 2 - (here ^ there).bit_length())


def _descend_each(tree: DyadicTree, leaf: Leaf[Tensor]) -> tuple[Values, Values]:
    """The state of each sample's own leaf, and its variables."""
    number, level = leaf.number[:, None], leaf.level[:, None]
    deepest = int(level.max()) if level.numel() else 0
    fresh = tree.fresh(leaf, 0, deepest + 1)
    state = tree.whole(next(fresh))
    last = next(fresh)
    for row in range(1, deepest + 1):
        lower, upper = tree.halves(state, last, tree.length(row - 1))
        inside, up = level >= row, (number >> (level - row) & 1).bool()
        state = _select(inside, _select(up, upper, lower), state)
        last = _select(inside, next(fresh), last)
    return state, last


def _select(mask: Tensor, yes: Values, no: Values) -> Values:
    return tuple(a if a is b else torch.where(mask, a, b) for a, b in zip(yes, no, strict=True))


def _own(values: Values) -> Values:
    """Copies that keep no larger block of rows alive."""
    return tuple(value.clone() for value in values)


def _same(a: Time, b: Time) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        return torch.equal(a, b)
    return not isinstance(a, Tensor) and not isinstance(b, Tensor) and a == b
