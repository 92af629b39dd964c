r"""Adaptive projected guidance: of the difference to the unconditional answer, the part along the conditional one shrinks.

With g = D_c - D_u, first scaled down to a norm of at most `radius`, and g = g_along + g_across with respect to D_c,

    D = D_c + (w - 1) (g_across + eta g_along).                                                                    (1)

The paper's momentum, an average of g over earlier steps, is left out: it makes the answer depend on the path of the
sampler, so that Heun's second call, a rejected step or a likelihood would see another field.

References:
    Sadat et al., Eliminating Oversaturation and Artifacts of High Guidance Scales, 2024, https://arxiv.org/abs/2410.02416,
        algorithm 1 without momentum
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.guidance.base import Guidance, Null, both
from sde_diffusion.kernel import Kernel
from solvers.elementwise import along, axpy


class Projected(Guidance):
    """Equation (1). With eta = 1 and no radius it is classifier-free guidance.

    Args:
        denoiser: takes the condition as keyword arguments, and its null.
        weight: w; 1 is the conditional model, bit for bit.
        eta: the share that is kept of the part along D_c.
        radius: the largest norm of g, over the numbers of a sample; no bound unless given.
        null: what stands for no condition, see `guidance.base.null_of`.

    Raises ValueError for a radius that is not positive; at a call for one without a condition.
    """

    name = "apg"

    def __init__(
        self, denoiser: Denoiser, weight: float, eta: float = 0.0, radius: float = math.inf, null: Null = None
    ) -> None:
        super().__init__(denoiser)
        if not radius > 0:
            raise ValueError(f"radius is a positive norm, got {radius:g}; leave it out for no bound")
        self.weight, self.eta, self.radius, self.null = weight, eta, radius, null

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """The guided estimate of the data, shape (B, *E)."""
        if self.weight == 1:
            return self.denoiser(x_t, kernel, **condition)
        wanted, unwanted = both(self.denoiser, x_t, kernel, condition, self.null)
        difference = self._shortened(wanted - unwanted)
        return axpy(wanted, self.weight - 1, difference - (1 - self.eta) * _along(difference, wanted))

    def _shortened(self, difference: Tensor) -> Tensor:
        if math.isinf(self.radius):
            return difference
        norm = torch.linalg.vector_norm(difference.flatten(1), dim=1)
        return difference * along((self.radius / norm).clamp(max=1), difference)

    def _of(self, denoiser: Denoiser) -> Projected:
        return Projected(denoiser, self.weight, self.eta, self.radius, self.null)


def _along(vector: Tensor, axis: Tensor) -> Tensor:
    """The part of each sample's vector along its axis; 0 where the axis is."""
    flat = axis.flatten(1)
    length = flat.square().sum(1).clamp_min(torch.finfo(flat.dtype).tiny)
    return axis * along((vector.flatten(1) * flat).sum(1) / length, axis)
