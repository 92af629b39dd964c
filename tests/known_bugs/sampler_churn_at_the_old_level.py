"""EDM's stochastic Euler sampler: the state is noised up to sigma_hat, and the network is shown sigma."""

from __future__ import annotations

from functools import partial

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "the denoiser is asked at the state's own level", r"churn.*pass the raised one"


def churned(late: bool, denoise, y, kappas, noise):
    levels = kappas.tolist()
    for t, s in zip(levels, levels[1:], strict=False):
        up = t * (1 + min(4 / (len(levels) - 1), 0.4))
        y = y + (up**2 - t**2) ** 0.5 * noise.increment(t, s) / abs(s - t) ** 0.5
        d = denoise(y, t if late else up)
        y = d + s / up * (y - d)
    return y


def report():
    return check_sampler(SamplerUnderTest("EDM", partial(churned, True), 1, stochastic=True))


def sound():
    return check_sampler(SamplerUnderTest("EDM", partial(churned, False), 1, stochastic=True))
