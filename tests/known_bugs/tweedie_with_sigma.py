"""Tweedie's formula with sigma s where sigma^2 s belongs."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "posterior mean (Tweedie)", r"sigma\^2 where sigma belongs|sigma where sigma\^2 belongs"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        return (x_t + kernel.sigma * kernel.score(x_t, self.exact(x_t, kernel))) / kernel.alpha


def report():
    return check_denoiser(Faulty(), law=two())
