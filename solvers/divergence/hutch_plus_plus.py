r"""Hutch++: the trace on a subspace where the Jacobian is large, exactly; on the rest, by probes.

With Q an orthonormal basis of the range of J S for a few frozen probes S, P = I - Q Q^T, and n = d - rank,

    tr(J) = tr(Q^T J Q) + tr(P J P),    tr(P J P) = E[w^T J w],    w = sqrt(n) P g / |P g|,  g ~ N(0, I).          (1)

The length of w is put right, so that a multiple of the identity on the rest costs no variance.

References:
    Meyer et al., Hutch++: Optimal Stochastic Trace Estimation, 2021, https://arxiv.org/abs/2010.09649
    Epperly, Tropp & Webber, XTrace: Making the Most of Every Sample in Stochastic Trace Estimation, 2024,
        https://arxiv.org/abs/2301.07825, section 2.3 (the normalisation)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from solvers.divergence.base import Divergence, PointField, inner, products
from solvers.divergence.probes import gaussian, keys_of


@dataclass(frozen=True)
class HutchPlusPlus(Divergence):
    """Equation (1): `sketch` probes find the subspace, `columns` others estimate on the rest.

    2 sketch + columns products with the Jacobian a call. Raises ValueError (when used) for sketch >= d: take ExactTrace.
    """

    sketch: int = 4
    columns: int = 4

    def __post_init__(self) -> None:
        """Raises ValueError unless both numbers are positive."""
        if self.sketch < 1 or self.columns < 1:
            raise ValueError(f"sketch and columns are at least 1, got {self.sketch} and {self.columns}; give 4 and 4")

    def probes(self, x: Tensor, seed: int, indices: Tensor) -> Tensor:
        """Both kinds, (B, sketch + columns, *E)."""
        if self.sketch >= x[0].numel():
            raise ValueError(
                f"a sketch is smaller than the event, got {self.sketch} of {x[0].numel()} numbers; take ExactTrace()"
            )
        return gaussian(keys_of(seed, indices), (self.sketch + self.columns, *x.shape[1:]), x.dtype)

    def along(self, field: PointField, x: Tensor, probes: Tensor) -> tuple[Tensor, Tensor]:
        """F(x) (B, *E) and the columns of (1), (B, columns)."""
        shape = x.shape[1:]
        value, image = products(field, x, probes[:, : self.sketch])
        basis = torch.linalg.qr(image.flatten(2).mT).Q.mT
        rest = probes[:, self.sketch :].flatten(2)
        rest = rest - rest @ basis.mT @ basis
        rest = rest * ((rest.shape[2] - self.sketch) ** 0.5 / rest.norm(dim=2, keepdim=True))
        directions = torch.cat((basis, rest), 1).unflatten(2, shape)
        form = inner(directions, products(field, x, directions)[1])
        return value, form[:, : self.sketch].sum(1, keepdim=True) + form[:, self.sketch :]

    def cost(self, size: int) -> int:
        """The sketch twice."""
        return 2 * self.sketch + self.columns
