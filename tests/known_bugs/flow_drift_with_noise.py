"""The reverse SDE with the flow's drift: half of the score, all of the noise."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "order", r"the drift is the flow's"


def reverse(weight, denoise, y, kappas, noise):
    """dy = 2 weight (y - D)/kappa dkappa + sqrt(2 kappa) dW, with weight 1 in the equation."""
    times = kappas.tolist()
    for t, s in zip(times, times[1:], strict=False):
        y = y + 2 * weight * (y - denoise(y, t)) / t * (s - t)
        y = y + (2 * t) ** 0.5 * noise.increment(t, s) if s > 0 else denoise(y, t)
    return y


def look(weight):
    run = lambda *given: reverse(weight, *given)  # noqa: E731
    return check_sampler(SamplerUnderTest("reverse SDE", run, 1, stochastic=True))


def report():
    return look(0.5)


def sound():
    return look(1.0)
