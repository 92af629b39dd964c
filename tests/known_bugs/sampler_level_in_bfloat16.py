"""A sampler under autocast: the level reaches the network as a bfloat16 number."""

from __future__ import annotations

import torch

from sde_diffusion.testing import SamplerUnderTest, check_sampler
from tests.known_bugs.sampler_clips_the_data import ddim

CHECK, CAUSE = "levels keep their digits", r"rounded to torch.bfloat16"


def rounded(denoise, *given):
    return ddim(100.0, lambda y, kappa: denoise(y, torch.tensor(kappa).bfloat16().item()), *given)


def report():
    return check_sampler(SamplerUnderTest("DDIM", rounded, 1))
