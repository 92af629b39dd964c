"""Dropout left on while sampling: the field of the ODE is another one at every call."""

from __future__ import annotations

import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.testing import check_denoiser

CHECK, CAUSE = "the same question has the same answer", r"dropout is left on"


class Faulty(Denoiser):
    def __init__(self):
        super().__init__()
        self.exact = ExactDenoiser(two())

    def forward(self, x_t, kernel, **condition):
        self.calls = getattr(self, "calls", 0) + 1
        keep = torch.rand(x_t.shape, generator=torch.Generator().manual_seed(self.calls)) > 0.1
        return self.exact(x_t, kernel) * keep


def report():
    return check_denoiser(Faulty(), law=two())
