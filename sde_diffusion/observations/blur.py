"""A blurred picture or signal."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.observations.base import LinearMeasurement


class Blur(LinearMeasurement):
    """y is each channel of a sample (C, L), (C, H, W) or (C, D, H, W), circularly convolved with one kernel, with noise.

    Args:
        y: the blurred sample, shape *E.
        kernel: as many axes as a channel, the middle of each at index n // 2.
        std: of the noise.

    Raises ValueError for a kernel with another number of axes, or one that is larger than the sample.
    """

    def __init__(self, y: Tensor, kernel: Tensor, std: float) -> None:
        super().__init__(y, std)
        if kernel.ndim != y.ndim - 1 or any(k > n for k, n in zip(kernel.shape, y.shape[1:], strict=True)):
            raise ValueError(
                f"a kernel has the axes of a channel of y and is no larger, got {tuple(kernel.shape)} for y of shape "
                f"{tuple(y.shape)}; give one of {y.ndim - 1} axes"
            )
        self.kernel = kernel
        self._axes = tuple(range(-kernel.ndim, 0))
        self._response = torch.fft.fftn(self._centred())

    def apply(self, x0: Tensor) -> Tensor:
        """The blurred samples, shape (B, *E)."""
        return self._filtered(x0, self._response)

    def adjoint(self, v: Tensor) -> Tensor:
        """Convolved with the mirrored kernel."""
        return self._filtered(v, self._response.conj())

    def _filtered(self, x: Tensor, response: Tensor) -> Tensor:
        transformed = torch.fft.fftn(x, dim=self._axes)
        return torch.fft.ifftn(transformed * response.to(transformed), dim=self._axes).real

    def _centred(self) -> Tensor:
        """The kernel in a box of a channel's size, its middle at the origin."""
        full = self.kernel.new_zeros(self.y.shape[1:])
        full[tuple(slice(0, k) for k in self.kernel.shape)] = self.kernel
        return full.roll([-(k // 2) for k in self.kernel.shape], self._axes)
