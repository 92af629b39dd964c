"""Every step of the chain adds noise, the last one too: each sample carries a grain that the data do not have."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "last step to sigma = 0", r"noise is added on the last step"


def chain(ends_on_the_mean, denoise, y, kappas, noise):
    """DDPM with the forward step's variance: y_s = D + s^2/t^2 (y - D) + sqrt(t^2 - s^2) z."""
    times = kappas.tolist()
    for t, s in zip(times, times[1:], strict=False):
        x0 = denoise(y, t)
        y = x0 + (s / t) ** 2 * (y - x0)
        if s > 0 or not ends_on_the_mean:
            y = y + ((t - s) * (t + s)) ** 0.5 * noise.increment(t, s) / (t - s) ** 0.5
    return y


def look(ends_on_the_mean):
    return check_sampler(SamplerUnderTest("DDPM", lambda *given: chain(ends_on_the_mean, *given), 1, stochastic=True))


def report():
    return look(False)


def sound():
    return look(True)
