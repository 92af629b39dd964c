"""The noise level of the first sample serves the whole batch."""

from __future__ import annotations

import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.kernel import Kernel
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "the answer does not depend on the batch", r"one sample's level serves all"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        first = Kernel(
            *(v.flatten()[0].item() if isinstance(v, torch.Tensor) else v for v in (kernel.alpha, kernel.sigma))
        )
        return self.exact(x_t, first)


def report():
    return check_denoiser(Faulty(), law=two())
