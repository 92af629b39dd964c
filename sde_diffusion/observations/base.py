r"""What is seen of x_0: an observation y of known law given x_0.

    Observation            p(y | x_0), any: log_prob
    Measurement            y = h(x_0) + std eps, eps ~ N(0, I), h differentiable: apply, pull = (dh/dx)^T v
    LinearMeasurement      y = A x_0 + std eps: pull is the adjoint A^T, at every x_0
    Projection             p(y | z) of one number z = <direction, x_0>: log_likelihood(z)

An observation holds its y, of shape *M for all samples of a batch. All are immutable; `in_coordinates` gives the same
observation of z_0 where x_0 = shift + scale z_0, in which a model lives.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor


class Observation(ABC):
    """p(y | x_0) for one y."""

    @abstractmethod
    def log_prob(self, x0: Tensor) -> Tensor:
        """log p(y | x_0) in nats, shape (B,), for x_0 of shape (B, *E)."""

    @abstractmethod
    def in_coordinates(self, shift: Tensor, scale: Tensor) -> Observation:
        """The same observation of z_0 with x_0 = shift + scale z_0; both broadcast to *E."""


class Measurement(Observation):
    """y = h(x_0) + std eps: `apply` is h.

    Attributes:
        y: what was seen, shape *M.
        std: the standard deviation of its noise, above 0.
    """

    def __init__(self, y: Tensor, std: float) -> None:
        if not isinstance(y, Tensor) or not y.is_floating_point() or not bool(y.isfinite().all()):
            raise ValueError(f"y is a tensor of finite numbers, got {y!r:.60}; leave out what was not seen")
        if not 0 < std < math.inf:
            raise ValueError(
                f"the noise of an observation has a standard deviation above 0, got {std:g}; give a small one, such as 0.01, "
                "for an observation without noise"
            )
        self.y, self.std = y, float(std)

    @abstractmethod
    def apply(self, x0: Tensor) -> Tensor:
        """h(x_0), shape (B, *M), differentiable."""

    def pull(self, x0: Tensor, v: Tensor) -> Tensor:
        """(dh/dx at x_0)^T v, shape (B, *E), for v of shape (B, *M)."""
        with torch.enable_grad():
            at = x0.detach().requires_grad_()
            return torch.autograd.grad(self.apply(at), at, v)[0]

    def derivative(self, x0: Tensor) -> Tensor:
        """dh/dx at x_0, a row for each number of y, shape (M, B, *E)."""
        units = torch.eye(self.y.numel(), dtype=x0.dtype, device=x0.device).reshape(-1, *self.y.shape)
        return torch.stack([self.pull(x0, unit.expand(len(x0), *self.y.shape)) for unit in units])

    def residual(self, x0: Tensor) -> Tensor:
        """y - h(x_0), shape (B, M), flat. Raises ValueError where h(x_0) is not of y's shape."""
        seen = self.apply(x0)
        if seen.shape[1:] != self.y.shape:
            raise ValueError(
                f"y has shape {tuple(self.y.shape)}, and of a sample one sees {tuple(seen.shape[1:])}; give as many numbers"
            )
        return (self.y.to(seen) - seen).flatten(1)

    def log_prob(self, x0: Tensor) -> Tensor:
        """log N(y; h(x_0), std^2 I)."""
        r = self.residual(x0)
        return -r.square().sum(1) / (2 * self.std**2) - r.shape[1] * math.log(self.std * math.sqrt(2 * math.pi))

    def in_coordinates(self, shift: Tensor, scale: Tensor) -> Observation:
        """The same of z_0."""
        return _Moved(self, shift, scale)


class LinearMeasurement(Measurement):
    """y = A x_0 + std eps: `apply` is A, and `pull` its adjoint."""

    @abstractmethod
    def adjoint(self, v: Tensor) -> Tensor:
        """A^T v, shape (B, *E), for v of shape (B, *M)."""

    def pull(self, x0: Tensor, v: Tensor) -> Tensor:
        """A^T v."""
        return self.adjoint(v)

    def derivative(self, x0: Tensor) -> Tensor:
        """A, the same for all samples."""
        return self.matrix().to(x0).reshape(-1, 1, *x0.shape[1:]).expand(-1, *x0.shape)

    def gram(self) -> Tensor:
        """A A^T of the flattened y, shape (M, M)."""
        rows = torch.eye(self.y.numel(), dtype=self.y.dtype, device=self.y.device)
        return self.apply(self.adjoint(rows.reshape(-1, *self.y.shape))).flatten(1)

    def matrix(self) -> Tensor:
        """A of the flattened sample and y, shape (M, d)."""
        rows = torch.eye(self.y.numel(), dtype=self.y.dtype, device=self.y.device)
        return self.adjoint(rows.reshape(-1, *self.y.shape)).flatten(1)

    def in_coordinates(self, shift: Tensor, scale: Tensor) -> LinearMeasurement:
        """y - A shift = (A scale) z_0 + std eps."""
        return _MovedLinear(self, shift, scale)


class Projection(Observation):
    """p(y | z) of one number z = <direction, x_0> of a sample, any law.

    Attributes:
        direction: of shape *E.
        offset: what is added to <direction, x_0>, 0 in the coordinates of the data.
    """

    def __init__(self, direction: Tensor, offset: float = 0.0) -> None:
        if not bool(direction.isfinite().all()) or not bool(direction.any()):
            raise ValueError("a direction is a finite vector that is not 0; give one number for each of a sample")
        self.direction, self.offset = direction, offset

    @abstractmethod
    def log_likelihood(self, z: Tensor) -> Tensor:
        """log p(y | z) in nats, of z's shape."""

    def project(self, x0: Tensor) -> Tensor:
        """z = <direction, x_0> + offset, shape (B,)."""
        return x0.flatten(1) @ self.direction.to(x0).flatten() + self.offset

    def log_prob(self, x0: Tensor) -> Tensor:
        """log p(y | z) at the z of x_0."""
        return self.log_likelihood(self.project(x0))

    def in_coordinates(self, shift: Tensor, scale: Tensor) -> Projection:
        """The same law of z = <scale direction, z_0> + <direction, shift>."""
        offset = self.offset + (self.direction * shift.to(self.direction)).sum().item()
        return self._along(self.direction * scale.to(self.direction), offset)

    @abstractmethod
    def _along(self, direction: Tensor, offset: float) -> Projection:
        """The same law of another projection."""


class _Moved(Measurement):
    """A measurement of z_0."""

    def __init__(self, of: Measurement, shift: Tensor, scale: Tensor) -> None:
        super().__init__(of.y, of.std)
        self.of, self.shift, self.scale = of, shift, scale

    def apply(self, x0: Tensor) -> Tensor:
        """h(shift + scale z_0)."""
        return self.of.apply(self.shift.to(x0) + self.scale.to(x0) * x0)


class _MovedLinear(LinearMeasurement):
    """A linear measurement of z_0, y less what the shift gives."""

    def __init__(self, of: LinearMeasurement, shift: Tensor, scale: Tensor) -> None:
        empty = of.adjoint(torch.zeros_like(of.y).unsqueeze(0))
        centre = shift.to(empty).expand_as(empty)
        super().__init__(of.y - of.apply(centre)[0], of.std)
        self.of, self.scale = of, scale

    def apply(self, x0: Tensor) -> Tensor:
        """A (scale z_0)."""
        return self.of.apply(self.scale.to(x0) * x0)

    def adjoint(self, v: Tensor) -> Tensor:
        """scale A^T v."""
        return self.scale.to(v) * self.of.adjoint(v)
