"""The network is shown the noise level of the next timestep, ten per cent away."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.kernel import Kernel
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "posterior mean (Tweedie)", r"10% too high"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        return self.exact(x_t / kernel.alpha, Kernel(1.0, 1.1 * kernel.sigma / kernel.alpha))


def report():
    return check_denoiser(Faulty(), law=two())
