r"""XTrace: every probe sketches for all the others and estimates on what they leave.

For probes w_1 .. w_m, uniform on the sphere of radius sqrt(d), let Q_i be an orthonormal basis of the range of J w_j,
j != i. The estimates

    t_i = tr(Q_i^T J Q_i) + n/|P_i w_i|^2 w_i^T P_i J P_i w_i,   P_i = I - Q_i Q_i^T,  n = d - m + 1,              (1)

are unbiased and exchangeable. With Y = J [w_1 .. w_m] = Q R, the basis Q_i is Q without the direction
s_i = R^{-T} e_i / |R^{-T} e_i|, so that J Q, computed once, serves all of them: 2 m products in all.

References:
    Epperly, Tropp & Webber, XTrace: Making the Most of Every Sample in Stochastic Trace Estimation, 2024,
        https://arxiv.org/abs/2301.07825, section 2
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.divergence.base import Divergence, PointField, products
from solvers.divergence.probes import keys_of, sphere


@dataclass(frozen=True)
class XTrace(Divergence):
    """Equation (1) with m = `columns` probes, 2 <= m < d."""

    columns: int = 8

    def __post_init__(self) -> None:
        """Raises ValueError unless columns >= 2."""
        if self.columns < 2:
            raise ValueError(f"XTrace leaves one probe out of at least 2, got {self.columns}; give 8")

    def probes(self, x: Tensor, seed: int, indices: Tensor) -> Tensor:
        """(B, columns, *E)."""
        if self.columns >= x[0].numel():
            raise ValueError(
                f"XTrace takes fewer probes than numbers, got {self.columns} of {x[0].numel()}; take ExactTrace()"
            )
        return sphere(keys_of(seed, indices), (self.columns, *x.shape[1:]), x.dtype)

    def along(self, field: PointField, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """F(x) (B, *E) and the t_i (B, columns)."""
        value, image = products(field, x, probes)
        q, r = torch.linalg.qr(image.flatten(2).mT)
        pushed = products(field, x, q.mT.unflatten(2, x.shape[1:]))[1].flatten(2).mT
        return value, _estimates(probes.flatten(2).mT, image.flatten(2).mT, q, pushed, _left_out(r))

    def cost(self, size: int) -> int:
        """Twice the probes."""
        return 2 * self.columns


def _left_out(r: Tensor) -> Tensor:
    """The s_i as columns, (B, m, m): column i is orthogonal to all columns of R but the i-th."""
    eye = torch.eye(r.shape[-1], dtype=r.dtype, device=r.device).expand(r.shape)
    inverse = torch.linalg.solve_triangular(r.mT, eye, upper=False)
    return inverse / inverse.norm(dim=1, keepdim=True)


def _estimates(w: Tensor, y: Tensor, q: Tensor, jq: Tensor, s: Tensor) -> Tensor:
    """Equation (1) with Q_i Q_i^T = Q (I - s_i s_i^T) Q^T: probes w, y = J w, q and J q, each (B, d, m)."""
    h, a = q.mT @ jq, q.mT @ w
    inside = h.diagonal(dim1=1, dim2=2).sum(1, keepdim=True) - (s * (h @ s)).sum(1)
    kept = a - s * (s * a).sum(1, keepdim=True)
    rest = w - q @ kept
    pushed = y - jq @ kept
    count = w.shape[1] - w.shape[2] + 1
    return inside + count * (rest * pushed).sum(1) / rest.square().sum(1)
