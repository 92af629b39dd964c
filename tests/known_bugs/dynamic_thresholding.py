"""Dynamic thresholding inside a denoiser: answers beyond [-1, 1] are divided by their largest coordinate."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "posterior mean (Tweedie)", r"dynamic thresholding of x_0"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        d = self.exact(x_t, kernel)
        scale = d.abs().amax(1, keepdim=True).clamp(min=1.0)
        return d.clamp(-scale, scale) / scale


def report():
    return check_denoiser(Faulty(), law=two())
