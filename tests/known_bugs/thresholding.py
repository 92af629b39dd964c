"""Static thresholding inside a denoiser: x_0 is clamped to [-2, 2], beyond all data, and no sample shows it soon."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "posterior mean far from the data", r"clipped to fixed bounds \(thresholding of x_0\)"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        return self.exact(x_t, kernel).clamp(-2.0, 2.0)


def report():
    return check_denoiser(Faulty(), law=two())
