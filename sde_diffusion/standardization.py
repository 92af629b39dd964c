r"""The affine map between data and the coordinates of a model: mean zero, variance one.

    z = (x - shift)/scale,    log p_X(x) = log p_Z(z) - sum_i log scale_i                                         (1)

A table (events of shape (D,)) has a shift and a scale for each column; images, signals and volumes have one number each,
so that neighbouring pixels keep their units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from sde_diffusion.data.moments import Moments


@dataclass(frozen=True, eq=False)
class Standardization:
    """Equation (1) for events of shape *E; `shift` and `scale` > 0 are float64, of shape () or *E, on the CPU."""

    shift: Tensor
    scale: Tensor

    def __post_init__(self) -> None:
        """Raises ValueError for numbers that are not finite, or a scale that is not positive."""
        for name in ("shift", "scale"):
            object.__setattr__(self, name, torch.as_tensor(getattr(self, name), dtype=torch.float64).cpu())
        if self.shift.shape != self.scale.shape or not (self.shift.isfinite().all() and self.scale.isfinite().all()):
            raise ValueError("shift and scale are finite and of one shape; measure them with Standardization.of(x)")
        if not (self.scale > 0).all():
            raise ValueError(f"scales are positive, got {self.scale.min().item():g}; take 1 for a constant column")

    @classmethod
    def identity(cls) -> Self:
        """z = x."""
        return cls(torch.tensor(0.0), torch.tensor(1.0))

    @classmethod
    def of(cls, x: Tensor) -> Self:
        """The mean and the standard deviation of data x (N, *E): by column for a table, of all numbers otherwise.

        A constant column has scale 1. Raises ValueError when all numbers are equal: nothing can be learnt from them.
        """
        return cls.of_moments(Moments.of(x))

    @classmethod
    def of_moments(cls, found: Moments) -> Self:
        """The same of data whose mean and standard deviation are known."""
        shift, scale = found.mean, found.std
        constant = scale <= 1e-12 * shift.abs()
        if bool(constant.all()):
            raise ValueError(
                "all data are one and the same number, and nothing can be learnt from them; check the data"
            )
        return cls(shift, torch.where(constant, torch.ones_like(scale), scale))

    def to_standard(self, x: Tensor) -> Tensor:
        """z (N, *E) of x (N, *E), in x's dtype (float32 for integers)."""
        wide, shift, scale = self._wide(x)
        z = (wide - shift) / scale
        return z.to(x.dtype if x.is_floating_point() else torch.float32)

    def from_standard(self, z: Tensor) -> Tensor:
        """x (N, *E) of z (N, *E), in z's dtype."""
        wide, shift, scale = self._wide(z)
        return (wide * scale + shift).to(z.dtype)

    def _wide(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x, shift and scale in float64, or float32 on a device that has no more (mps)."""
        dtype = torch.float32 if x.device.type == "mps" else torch.float64
        return x.to(dtype), self.shift.to(x.device, dtype), self.scale.to(x.device, dtype)

    def log_det(self, event_shape: tuple[int, ...]) -> float:
        """log |det dz/dx| = -sum_i log scale_i over an event, in nats."""
        return -self.scale.log().sum().item() * (1 if self.scale.ndim else math.prod(event_shape))

    def as_dict(self) -> dict[str, Any]:
        """Plain data: numbers, or lists of them."""
        return {"shift": self.shift.tolist(), "scale": self.scale.tolist()}

    @classmethod
    def of_dict(cls, stored: dict[str, Any]) -> Self:
        """What `as_dict` gave. Raises ValueError for anything else."""
        try:
            shift, scale = (torch.tensor(stored[name], dtype=torch.float64) for name in ("shift", "scale"))
            return cls(shift, scale)
        except (KeyError, TypeError, RuntimeError) as error:
            raise ValueError(f"a standardization has a shift and a scale, got {str(stored)[:60]}") from error
