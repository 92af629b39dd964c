"""DDIM with clip_sample on data that are not in [-1, 1]: the denoiser's answer is clipped at each step."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "order", r"clipped \(clip_sample, thresholding\) at each step"


def ddim(clip: float, denoise, y, kappas, noise=None):
    levels = kappas.tolist()
    for t, s in zip(levels, levels[1:], strict=False):
        d = denoise(y, t).clamp(-clip, clip)
        y = d + s / t * (y - d)
    return y


def report():
    return check_sampler(SamplerUnderTest("DDIM", lambda *given: ddim(1.0, *given), 1))


def sound():
    return check_sampler(SamplerUnderTest("DDIM", lambda *given: ddim(100.0, *given), 1))
