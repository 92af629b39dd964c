"""DDIM in place: the noise that the caller keeps, to start another run from, is the sample."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "inputs are left alone", r"in place"


def ddim(denoise, y, kappas, noise=None):
    levels = kappas.tolist()
    for t, s in zip(levels, levels[1:], strict=False):
        d = denoise(y, t)
        y.sub_(d).mul_(s / t).add_(d)
    return y


def report():
    return check_sampler(SamplerUnderTest("DDIM", ddim, 1))
