"""The network predicts the score, in units of 1/sigma."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization.base import Parameterization
from solvers.elementwise import scale


@dataclass(frozen=True)
class Score(Parameterization):
    """raw = sigma s, so that its size is that of the noise at every level: s = raw/sigma.

    References:
        Song & Ermon, Improved Techniques for Training Score-Based Generative Models, 2020,
            https://arxiv.org/abs/2006.09011, technique 3
    """

    def target(self, x0: Tensor, noise: Tensor, kernel: Kernel) -> Tensor:
        """-noise = sigma grad log p(x_t | x_0)."""
        return -noise

    def to_denoised(self, raw: Tensor, x_t: Tensor, kernel: Kernel) -> Tensor:
        """(x_t + sigma^2 s)/alpha."""
        return kernel.data_from_score(x_t, scale(1 / kernel.sigma, raw))
