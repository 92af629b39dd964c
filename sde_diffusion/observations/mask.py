"""Some of the numbers of a sample, the others unseen: inpainting."""

from __future__ import annotations

import torch
from torch import Tensor

from sde_diffusion.observations.base import LinearMeasurement


class Mask(LinearMeasurement):
    """y is x_0 where `seen` is True, in the order of the flattened sample, with noise.

    Args:
        y: the numbers seen, shape (M,).
        seen: booleans of shape *E, M of them True.
        std: of the noise.

    Raises ValueError for another number of them.
    """

    def __init__(self, y: Tensor, seen: Tensor, std: float) -> None:
        super().__init__(y, std)
        if seen.dtype != torch.bool or y.shape != (int(seen.sum()),):
            raise ValueError(
                f"a mask is of truth values, one True for each number seen, got {seen.dtype} with {int(seen.sum())} for y of "
                f"shape {tuple(y.shape)}; write Mask(x[seen], seen, std)"
            )
        self.seen = seen
        self._places = seen.flatten().nonzero().squeeze(1)

    def apply(self, x0: Tensor) -> Tensor:
        """The numbers seen, shape (B, M)."""
        return x0.flatten(1)[:, self._places.to(x0.device)]

    def adjoint(self, v: Tensor) -> Tensor:
        """v in its places, 0 in the others."""
        full = v.new_zeros(len(v), self.seen.numel())
        return full.index_copy(1, self._places.to(v.device), v).reshape(len(v), *self.seen.shape)
