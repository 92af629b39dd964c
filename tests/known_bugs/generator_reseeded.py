"""Ancestral sampling that seeds a generator inside the loop, for reproducible pictures: every step draws the same noise."""

from __future__ import annotations

from functools import partial

import torch

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "noise of neighbouring steps is independent", r"seeded anew"


def ancestral(reseeded: bool, denoise, y, kappas, noise):
    levels = kappas.tolist()
    for t, s in zip(levels, levels[1:], strict=False):
        d, down = denoise(y, t), s**2 / t
        unit = noise.increment(t, s) / abs(s - t) ** 0.5
        if reseeded:
            unit = torch.randn(y.shape, generator=torch.Generator().manual_seed(0), dtype=y.dtype)
        y = d + down / t * (y - d) + (s**2 - down**2) ** 0.5 * unit
    return y


def report():
    return check_sampler(SamplerUnderTest("ancestral", partial(ancestral, True), 1, stochastic=True))


def sound():
    return check_sampler(SamplerUnderTest("ancestral", partial(ancestral, False), 1, stochastic=True))
