"""The model is shown the timestep that the step leads to, not the one that the state has."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "the denoiser is asked at the state's own level", r"timesteps are off by 1"


def ddim(late, denoise, y, kappas, noise):
    times = kappas.tolist()
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        x0 = denoise(y, times[i + late] or t)
        y = x0 + s / t * (y - x0)
    return y


def look(late):
    return check_sampler(SamplerUnderTest("DDIM", lambda *given: ddim(late, *given), 1))


def report():
    return look(1)


def sound():
    return look(0)
