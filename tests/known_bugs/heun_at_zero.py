"""Heun's corrector at sigma = 0 divides by it: NaN unless the last step is an Euler step."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "last step to sigma = 0", r"divides by sigma = 0"


def heun(guarded, denoise, y, kappas, noise):
    times = kappas.tolist()
    for t, s in zip(times, times[1:], strict=False):
        first = (y - denoise(y, t)) / t
        ahead = y + (s - t) * first
        if guarded and s == 0:
            return ahead
        second = (ahead - denoise(ahead, s)) / kappas.new_tensor(s)
        y = y + (s - t) / 2 * (first + second)
    return y


def look(guarded):
    return check_sampler(SamplerUnderTest("Heun", lambda *given: heun(guarded, *given), 2))


def report():
    return look(False)


def sound():
    return look(True)
