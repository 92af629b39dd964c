"""A preconditioning in place: x_t is scaled for the network, and the sampler goes on from the scaled one."""

from __future__ import annotations

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "inputs are left alone", r"in place"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        return self.exact(x_t.div_(kernel.alpha), kernel)

    __call__ = forward  # past the base class, which would refuse it


def report():
    return check_denoiser(Faulty(), law=two())
