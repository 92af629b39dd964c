"""A batch norm left in training mode: a sample's answer depends on its neighbours."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "the answer does not depend on the batch", r"samples are mixed"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        x0 = self.exact(x_t, kernel)
        return x0 - 0.05 * x0.mean(0)


def report():
    return check_denoiser(Faulty(), law=two())
