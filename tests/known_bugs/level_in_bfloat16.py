"""A denoiser under autocast: the level is rounded to bfloat16 before its embedding is made."""

from __future__ import annotations

import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.kernel import Kernel
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "posterior mean (Tweedie)", r"sees sigma/alpha rounded to torch.bfloat16"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        level = torch.as_tensor(kernel.sigma / kernel.alpha, dtype=torch.float64)
        return self.exact(x_t / kernel.alpha, Kernel(1.0, level.bfloat16().double()))


def report():
    return check_denoiser(Faulty(), law=two())
