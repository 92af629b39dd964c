"""EDM's preconditioning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization
from sde_diffusion.specs import other_names
from solvers.elementwise import Coefficient, combine


@other_names({"sigma_data": "data_std"})
@dataclass(frozen=True)
class EDMPreconditioning(Parameterization):
    r"""x0_hat = c_skip x_t/alpha + c_out raw: the target has unit variance and errors are amplified as little as can be.

    In the noise level kappa = sigma/alpha of x_t/alpha, with d = data_std and r = sqrt(d^2 + kappa^2):
    c_skip = d^2/r^2, c_out = kappa d/r; the input x_t/sqrt(alpha^2 d^2 + sigma^2) is EDM's c_in x.

    References:
        Karras et al., Elucidating the Design Space of Diffusion-Based Generative Models, 2022,
            https://arxiv.org/abs/2206.00364, table 1
    """

    name: ClassVar[str] = "edm"
    data_std: float = 0.5

    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """(x_0 - c_skip x_t/alpha)/c_out, gathered so that nothing cancels: (sigma x_0 - alpha d^2 noise)/(d spread)."""
        total, d = self.spread(kernel), self.data_std
        return combine(kernel.sigma / (d * total), x0, -kernel.alpha * d / total, noise)

    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """c_skip x_t/alpha + c_out raw."""
        skip, out = self._mix(kernel)
        return combine(skip, x_t, out, raw)

    def _mix(self, kernel: Kernel) -> tuple[Coefficient, Coefficient]:
        total, d = self.spread(kernel), self.data_std
        return kernel.alpha * (d / total) ** 2, kernel.sigma * d / total
