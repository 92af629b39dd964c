r"""Noise is a path: W(s) - W(t) is what a method uses. The name of the class says what is kept of the path.

| path              | is a function of                | additive | same in every batch | serves                        |
|-------------------|---------------------------------|----------|---------------------|-------------------------------|
| `FreshIncrements` | seed, order of the calls        | no       | no                  | a fixed grid, each step once  |
| `KeyedIncrements` | seed, sample, both ends (t, s)  | no       | yes                 | a fixed grid, at will         |
| `WienerTree`      | seed, sample, time              | yes      | yes                 | any times, in any order       |
| `AreaTree`        | seed, sample, time              | yes      | yes                 | the same, with Levy areas     |

All are constructed from one record, `PathSpec`, and may replace one another; all but `WienerTree` have their Levy
area. On a fixed grid used once all have exactly the distribution of a Wiener process. They differ in what a second call
may request.

Shapes: B samples, event shape *E of any rank; a time is a float (one time for all samples: the fast path) or a float64
tensor (B,) (one for each sample). Units: time is the equation's time variable; W has variance |s - t|. The increment is
signed, W(t) - W(s) = -(W(s) - W(t)), and t may lie on either side of s.

The space-time Levy area of methods of order 1.5 is the mean distance of the path from its chord,

    H(t, s) = 1/(s - t) int_t^s (W(r) - W(t) - (r - t)/(s - t) (W(s) - W(t))) dr  ~  N(0, |s - t| / 12),          (1)

independent of W(s) - W(t), and int_t^s (W(r) - W(t)) dr = (s - t) ((W(s) - W(t))/2 + H(t, s)).                    (2)

The chord and the mean have no direction: H(s, t) = H(t, s), where the increment changes its sign. (2) holds for
either direction, with the signed s - t.

References:
    Foster, Lyons & Oberhauser, An optimal polynomial approximation of Brownian motion, 2020,
        https://arxiv.org/abs/1904.06998 ((1) and its distribution)
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from solvers.elementwise import along
from solvers.path_times import Time, interval_key, root
from solvers.random import Word, check_keys, counters, digest, fold, folded_words, gaussians, mix, words

_AREA = 0x41524541  # the word that names the Levy areas of KeyedIncrements


class WienerPath(ABC):
    """A Wiener process of shape (B, *E)."""

    @abstractmethod
    def increment(self, t: Time, s: Time) -> Tensor:
        """W(s) - W(t), shape (B, *E), signed; t may lie on either side of s."""

    @abstractmethod
    def channel(self, k: int) -> WienerPath:
        """The k-th of the independent paths of the same kind that belong to this one: noise of a corrector's own.

        The same object at every call, so that a method may request it at every step.
        """


class AreaPath(WienerPath):
    """A path that also has its space-time Levy area."""

    @abstractmethod
    def increment_and_area(self, t: Time, s: Time) -> tuple[Tensor, Tensor]:
        """(W(s) - W(t), H(t, s)) of equation (1), each of shape (B, *E)."""


@dataclass(frozen=True, eq=False)
class PathSpec:
    """What a path is constructed from, whatever its class.

    Args:
        seed: any integer of 64 bits.
        indices: the samples' numbers, int64, shape (B,), on the path's device; noise follows the number, not the place in
            the batch.
        event_shape: *E.
        start, stop: the ends of the time span, in either order.
        dtype: of the increments, floating point.

    Raises:
        TypeError: the seed, the indices or the dtype are not of their kind.
        ValueError: the span is empty or not finite, or the indices are not of shape (B,).
    """

    seed: int
    indices: Tensor
    event_shape: tuple[int, ...]
    start: float
    stop: float
    dtype: torch.dtype = torch.float32

    def __post_init__(self) -> None:
        check_keys(self.indices)
        if not isinstance(self.seed, int):
            raise TypeError(f"a seed is a Python integer, got {type(self.seed).__name__}; pass int(seed)")
        if not self.dtype.is_floating_point:
            raise TypeError(f"a path has a floating-point dtype, got {self.dtype}; ask for torch.float32")
        if not (math.isfinite(self.start) and math.isfinite(self.stop)) or self.start == self.stop:
            raise ValueError(f"a path spans two different finite times, got {self.start} and {self.stop}")

    @classmethod
    def like(cls, x: Tensor, seed: int, start: float, stop: float, indices: Tensor | None = None) -> PathSpec:
        """Noise for a state x of shape (B, *E): its shape, dtype, device; samples numbered 0 to B - 1 by default."""
        numbers = torch.arange(x.shape[0]) if indices is None else indices
        return cls(seed, numbers.to(x.device), tuple(x.shape[1:]), float(start), float(stop), x.dtype)

    def channel(self, k: int) -> PathSpec:
        """The same arguments with the k-th seed derived from this one's."""
        return replace(self, seed=mix(self.seed, k))

    @property
    def device(self) -> torch.device:
        """The device of the noise."""
        return self.indices.device

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, *E)."""
        return (self.indices.shape[0], *self.event_shape)

    @property
    def size(self) -> int:
        """Numbers for each sample."""
        return math.prod(self.event_shape)

    def keys(self) -> Tensor:
        """One key for each sample, a function of the seed and its index: int64, shape (B,)."""
        return mix(digest(self.seed), self.indices)

    def times(self, t: Time, s: Time) -> tuple[float, float] | tuple[Tensor, Tensor]:
        """Both times as floats, or both as float64 tensors of shape (B,) on the path's device. Raises ValueError."""
        if type(t) is float and type(s) is float:
            return t, s
        t, s = _scalar(t), _scalar(s)
        if isinstance(t, float) and isinstance(s, float):
            return t, s
        return self._per_sample(t), self._per_sample(s)

    def _per_sample(self, t: Time) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64, device=self.device).detach()
        if t.ndim == 0:
            return t.expand(self.shape[0])
        if t.shape != self.indices.shape:
            raise ValueError(f"times have shape () or (B,) with B = {self.shape[0]}, got {tuple(t.shape)}")
        return t


def _scalar(t: Time) -> Time:
    """A number or a tensor of shape () as a float; other tensors as they are."""
    return t if isinstance(t, Tensor) and t.ndim else float(t)


class SeededPath(WienerPath):
    """A path constructed from a `PathSpec`."""

    def __init__(self, spec: PathSpec) -> None:
        self.spec = spec
        self._channels: dict[int, Self] = {}

    @classmethod
    def like(cls, x: Tensor, seed: int, start: float, stop: float) -> Self:
        """A path for a state x of shape (B, *E), samples numbered 0 to B - 1: its shape, dtype and device."""
        return cls(PathSpec.like(x, seed, start, stop))

    def channel(self, k: int) -> Self:
        """The path of the k-th derived seed, remembered."""
        if k not in self._channels:
            self._channels[k] = self._derive(self.spec.channel(k))
        return self._channels[k]

    @abstractmethod
    def _derive(self, spec: PathSpec) -> Self:
        """A path of the same kind with another record."""


class FreshIncrements(SeededPath, AreaPath):
    """New noise at every call; nothing is stored.

    Two calls for the same interval give two independent increments, and neighbouring increments do not add up to the
    increment over both: for fixed grids of which each step is used once. The noise of a sample depends on its place in
    the batch and on the indices not at all. Any time is allowed, inside the span or not. The fastest path: one
    `randn`, scaled in place.

    Args:
        spec: what to construct the path from; its indices give the batch size and the device only.
        generator: the user's, on the device of the path, which serves all channels in turn; without one, the path and each
            of its channels has its own, seeded by `spec.seed`.

    Raises:
        ValueError: the generator is on another device.
    """

    def __init__(self, spec: PathSpec, generator: torch.Generator | None = None) -> None:
        super().__init__(spec)
        self._shared = generator
        self._generator = generator or torch.Generator(spec.device).manual_seed(digest(spec.seed))
        if self._generator.device.type != spec.device.type:
            raise ValueError(
                f"the state is on {spec.device} and the generator on {self._generator.device}; make them on one device"
            )

    @classmethod
    def from_generator(cls, x: Tensor, generator: torch.Generator) -> Self:
        """A path for a state x of shape (B, *E) that draws from the user's generator, over all times."""
        return cls(PathSpec.like(x, 0, 0.0, 1.0), generator)

    def increment(self, t: Time, s: Time) -> Tensor:
        """sqrt(|s - t|) times new normal numbers, shape (B, *E)."""
        t, s = self.spec.times(t, s)
        return self._normals(abs(s - t))

    def increment_and_area(self, t: Time, s: Time) -> tuple[Tensor, Tensor]:
        """A new increment, and independently a new area of variance |s - t| / 12."""
        t, s = self.spec.times(t, s)
        return self._normals(abs(s - t)), self._normals(abs(s - t) / 12)

    def _derive(self, spec: PathSpec) -> Self:
        return type(self)(spec, self._shared)

    def _normals(self, variance: Time) -> Tensor:
        spec = self.spec
        z = torch.randn(spec.shape, generator=self._generator, dtype=spec.dtype, device=spec.device)
        return z.mul_(along(root(variance), z))


class KeyedPath(SeededPath):
    """A path that draws nothing: all that it holds of its samples are their keys, int64 (B, 1), kept folded."""

    def __init__(self, spec: PathSpec) -> None:
        super().__init__(spec)
        self._keys = fold(spec.keys()[:, None])

    def renumber(self, indices: Tensor) -> None:
        """Make it, in place, the path of other samples, int64 (B,), and its channels with it. No memory is moved, so
        that a recorded CUDA graph of the path serves them too.

        Raises:
            TypeError, ValueError: the indices are not int64 of shape (B,) on the path's device.
        """
        check_keys(indices)
        if indices.shape != self.spec.indices.shape or indices.device != self.spec.device:
            raise ValueError(
                f"a path of {self.spec.shape[0]} samples on {self.spec.device} takes as many numbers there, got "
                f"{tuple(indices.shape)} on {indices.device}; construct another path"
            )
        self.spec = replace(self.spec, indices=indices)
        self._keys.copy_(fold(self.spec.keys()[:, None]))
        self.forget()
        for channel in self._channels.values():
            channel.renumber(indices)

    def forget(self) -> None:
        """Drop the caches of earlier calls, its channels' too; the values stay the same."""
        for channel in self._channels.values():
            channel.forget()


class KeyedIncrements(KeyedPath, AreaPath):
    """Increments keyed by (seed, sample index, both ends of the interval): NOT additive between different intervals.

    The same interval again, in any order, batch, or direction, gives the same increment bit for bit (W(t) - W(s)
    is minus W(s) - W(t)). But the increments over [t, r] and [r, s] do not add up to the one over [t, s], and over
    intervals that overlap they are independent where a Wiener process is not: for fixed grids, whose steps do not
    overlap. A run with another number of steps gets another path. Any time is allowed, inside the span or not.
    """

    def __init__(self, spec: PathSpec) -> None:
        super().__init__(spec)
        self._counters = counters(spec.size, spec.device)

    def increment(self, t: Time, s: Time) -> Tensor:
        """sqrt(|s - t|) times normal numbers that belong to the interval, with the sign of s - t; shape (B, *E)."""
        t, s = self.spec.times(t, s)
        sign = torch.sign(s - t) if isinstance(t, Tensor) else math.copysign(1.0, s - t)
        return self._normals(interval_key(t, s), sign * root(abs(s - t)))

    def increment_and_area(self, t: Time, s: Time) -> tuple[Tensor, Tensor]:
        """The increment, and an area of variance |s - t| / 12 that belongs to the interval too."""
        t, s = self.spec.times(t, s)
        return self.increment(t, s), self._normals(mix(interval_key(t, s), _AREA), root(abs(s - t) / 12))

    def _derive(self, spec: PathSpec) -> Self:
        return type(self)(spec)

    def _normals(self, interval: Word, scale: Time) -> Tensor:
        """Normal numbers for every sample under the key of an interval (one, or one for each sample), times `scale`."""
        salt = interval[:, None] if isinstance(interval, Tensor) else interval
        scrambled = folded_words(self._keys, fold(words(self._counters, salt)))
        spread = scale[:, None] if isinstance(scale, Tensor) else scale
        return gaussians(scrambled, self.spec.size, spread).to(self.spec.dtype).reshape(self.spec.shape)
