"""An epsilon network used as a denoiser: the noise is returned undecoded."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "posterior mean (Tweedie)", r"it returns the noise"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        return kernel.noise(x_t, self.exact(x_t, kernel))


def report():
    return check_denoiser(Faulty(), law=two())
