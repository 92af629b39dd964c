"""Averages of blocks: a picture at a lower resolution, a coarser signal."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.observations.base import LinearMeasurement


class BlockAverage(LinearMeasurement):
    """y is the mean of each block of `size` neighbours, along every axis of the sample but those kept, with noise.

    Args:
        y: the means, shape *M: each axis of the sample is as many times longer as `sizes` says.
        sizes: the length of a block along each axis of the sample; (1, 2, 2) halves a picture (C, H, W).
        std: of the noise.

    Raises ValueError unless there is a length of at least 1 for each axis.
    """

    def __init__(self, y: Tensor, sizes: tuple[int, ...], std: float) -> None:
        super().__init__(y, std)
        if len(sizes) != y.ndim or min(sizes, default=0) < 1:
            raise ValueError(
                f"sizes has a length for each of {y.ndim} axes of y, at least 1, got {sizes}; write (1, 2, 2)"
            )
        self.sizes = tuple(sizes)
        self.event_shape = tuple(m * size for m, size in zip(y.shape, sizes, strict=True))

    def apply(self, x0: Tensor) -> Tensor:
        """The means, shape (B, *M)."""
        if tuple(x0.shape[1:]) != self.event_shape:
            raise ValueError(
                f"means of blocks {self.sizes} of shape {tuple(self.y.shape)} are of samples of shape {self.event_shape}, got "
                f"{tuple(x0.shape[1:])}; give y of the means"
            )
        split = [n for m, size in zip(self.y.shape, self.sizes, strict=True) for n in (m, size)]
        return x0.reshape(len(x0), *split).mean(dim=tuple(range(2, 2 * self.y.ndim + 1, 2)))

    def adjoint(self, v: Tensor) -> Tensor:
        """Each mean's share to all numbers of its block."""
        for axis, size in enumerate(self.sizes, 1):
            v = torch.repeat_interleave(v, size, axis) / size
        return v
