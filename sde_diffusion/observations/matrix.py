"""Any linear map, as a matrix."""

from __future__ import annotations

from torch import Tensor

from sde_diffusion.observations.base import LinearMeasurement


class Matrix(LinearMeasurement):
    """y = A x_0 + std eps for the flattened sample.

    Args:
        y: shape (M,).
        rows: A, shape (M, *E).
        std: of the noise.

    Raises ValueError for shapes that do not fit.
    """

    def __init__(self, y: Tensor, rows: Tensor, std: float) -> None:
        super().__init__(y, std)
        if rows.ndim < 2 or y.shape != rows.shape[:1]:
            raise ValueError(
                f"A has shape (M, *E) for y of shape (M,), got {tuple(rows.shape)} for {tuple(y.shape)}; give a row for each"
            )
        self.rows = rows

    def apply(self, x0: Tensor) -> Tensor:
        """A x_0, shape (B, M)."""
        return x0.flatten(1) @ self.rows.to(x0).flatten(1).mT

    def adjoint(self, v: Tensor) -> Tensor:
        """A^T v, shape (B, *E)."""
        return (v @ self.rows.to(v).flatten(1)).reshape(len(v), *self.rows.shape[1:])
