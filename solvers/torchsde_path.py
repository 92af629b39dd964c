"""Wiener paths and the Brownian motions of torchsde, each in the place of the other.

torchsde has a Brownian motion of shape (B, n), evaluated at ascending times, `bm(ta, tb)`; here a path has the
shape (B, *E), n the number of elements of *E, and is evaluated in either direction.

Note: `torchsde.sdeint` converts a list of times to the dtype of the state. In float32 a path is then evaluated
at rounded times: pass the times as a float64 tensor.

References:
    Kidger, Foster, Li & Lyons, Efficient and Accurate Gradients for Neural SDEs, 2021,
    https://arxiv.org/abs/2105.13493
        (the Brownian interval)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import torch
from torch import Tensor

from solvers.path_times import Time
from solvers.random import mix
from solvers.wiener import AreaPath, PathSpec, WienerPath


class TorchsdePath(WienerPath):
    """A Brownian motion of torchsde as a path: additive, but its noise depends on the place in the batch.

    Args:
        bm: a `torchsde.BrownianInterval`, `BrownianTree` or the like.
        event_shape: *E, for a motion of shape (B, n); None keeps the motion's own shape.
        spawn: makes the path of a channel from its number; without it, asking for a channel is an error.
    """

    def __init__(
        self, bm: Any, event_shape: tuple[int, ...] | None = None, spawn: Callable[[int], Self] | None = None
    ) -> None:
        self._bm = bm
        self._shape = tuple(bm.shape) if event_shape is None else (bm.shape[0], *event_shape)
        self._spawn = spawn
        self._channels: dict[int, Self] = {}

    @classmethod
    def from_spec(cls, spec: PathSpec, resolution: float = 1e-9) -> Self:
        """A dyadic `torchsde.BrownianInterval`, a function of the seed and the times, rounded to `resolution`.

        The sample indices are not used: torchsde draws the noise of the batch as a whole.
        """
        import torchsde

        bm = torchsde.BrownianInterval(
            t0=min(spec.start, spec.stop),
            t1=max(spec.start, spec.stop),
            size=(spec.shape[0], spec.size),
            dtype=spec.dtype,
            device=spec.device,
            entropy=mix(spec.seed, 0) % 2**63,
            tol=resolution,
            halfway_tree=True,
        )
        return cls(bm, spec.event_shape, lambda k: cls.from_spec(spec.channel(k), resolution))

    @classmethod
    def like(cls, x: Tensor, seed: int, start: float, stop: float) -> Self:
        """`from_spec` for a state x of shape (B, *E)."""
        return cls.from_spec(PathSpec.like(x, seed, start, stop))

    def increment(self, t: Time, s: Time) -> Tensor:
        """W(s) - W(t), shape (B, *E). Raises ValueError for one time per sample, which torchsde does not have."""
        t, s = _one_time(t), _one_time(s)
        dw = self._bm(t, s) if t <= s else -self._bm(s, t)
        return dw.reshape(self._shape)

    def channel(self, k: int) -> Self:
        """The path that `spawn` makes, remembered. Raises TypeError without it."""
        if self._spawn is None:
            raise TypeError("this TorchsdePath has one motion only; pass spawn=, or construct it by TorchsdePath.like")
        if k not in self._channels:
            self._channels[k] = self._spawn(k)
        return self._channels[k]


class AsTorchsde:
    """A path of ours as the `bm` of `torchsde.sdeint`, for a state x of shape (B, *E) that is (B, n) for torchsde.

    Args:
        path: the path; one with its Levy area serves torchsde's `srk` too.
        x: a state, whose shape, dtype and device the path has.
        clock: torchsde's ascending time -> the path's time, of slope 1 or -1: `lambda tau: -tau` for a solve downwards.
    """

    def __init__(self, path: WienerPath, x: Tensor, clock: Callable[[float], float] = float) -> None:
        self._path, self._clock = path, clock
        self.shape = torch.Size((x.shape[0], x[:1].numel()))
        self.dtype, self.device = x.dtype, x.device
        self.levy_area_approximation = "space-time" if isinstance(path, AreaPath) else "none"

    def __call__(
        self, ta: Time, tb: Time | None = None, return_U: bool = False, return_A: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """W(tb) - W(ta), shape (B, n), and with `return_U` the integral of W(r) - W(ta) over [ta, tb] as well.

        Raises:
            ValueError: one time only, or the Levy area between components, is requested.
            TypeError: the integral is requested of a path without it.
        """
        if tb is None or return_A:
            asked = "the area between components" if return_A else "W at a single time"
            raise ValueError(f"a path gives increments and their time integrals, {asked} was asked for")
        t, s = self._clock(float(ta)), self._clock(float(tb))
        if not return_U:
            return self._path.increment(t, s).reshape(self.shape)
        if not isinstance(self._path, AreaPath):
            raise TypeError(f"{type(self._path).__name__} knows no Levy area; pass a path that does, or another method")
        dw, area = self._path.increment_and_area(t, s)
        return dw.reshape(self.shape), (abs(s - t) * (dw / 2 + area)).reshape(self.shape)

    def size(self) -> torch.Size:
        """(B, n)."""
        return self.shape

    def __repr__(self) -> str:
        return f"AsTorchsde({self._path!r}, shape={tuple(self.shape)})"


def _one_time(t: Time) -> float:
    if isinstance(t, Tensor) and t.ndim:
        raise ValueError(f"torchsde knows one time for the whole batch, got times of shape {tuple(t.shape)}")
    return float(t)
