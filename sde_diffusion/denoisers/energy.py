r"""A denoiser whose score is a gradient: s = -grad E, for a scalar energy made of any backbone.

In the network's input z = x/spread, with F(z, level) the backbone,

    E(x) = |z|^2/2 - <z, F(z, level)>,     score = -grad_x E,     x0_hat by Tweedie's formula.                       (1)

At F = 0 it is the Gaussian of the data's variance. The score is curl-free, and E an unnormalised -log p_t; each call costs
a gradient through the backbone.

References:
    Salimans & Ho, Should EBMs Model the Energy or the Score?, 2021, https://openreview.net/forum?id=9AS-TF2jRNb
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sde_diffusion.denoisers.base import Denoiser, call_unwritten
from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization
from solvers.elementwise import scale


class EnergyDenoiser(Denoiser):
    """Equation (1); of the parameterisation only the input's scale and level are used."""

    def __init__(self, backbone: nn.Module, parameterization: Parameterization) -> None:
        super().__init__()
        self.backbone, self.parameterization = backbone, parameterization

    def energy(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """E (B,), which is -log p_t up to a constant of the level."""
        z = self.parameterization.precondition(x_t, kernel)
        raw = call_unwritten(self.backbone, z, self.parameterization.level(x_t, kernel), **condition)
        return (z * (0.5 * z - raw)).flatten(1).sum(1)

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        """E[x_0 | x_t] by Tweedie's formula, differentiable in the weights and in x_t."""
        gradient = torch.func.grad(lambda x: self.energy(x, kernel, **condition).sum())
        return kernel.data_from_score(x_t, scale(-1.0, gradient(x_t)))
