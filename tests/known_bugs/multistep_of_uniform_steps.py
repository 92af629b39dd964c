"""The fixed coefficients 3/2 and -1/2 of Adams-Bashforth on a grid that is not uniform: the declared order is lost."""

from __future__ import annotations

from sde_diffusion.testing import SamplerUnderTest, check_sampler

CHECK, CAUSE = "order on alternating steps", r"fixed weights"


def adams(own, denoise, y, kappas, noise):
    times, before = kappas.tolist(), None
    for i, (t, s) in enumerate(zip(times, times[1:], strict=False)):
        slope = (y - denoise(y, t)) / t
        ratio = (s - t) / (t - times[i - 1]) if own and i else 1.0
        y = y + (s - t) * (slope if before is None else slope + ratio / 2 * (slope - before))
        before = slope
    return y


def look(own):
    return check_sampler(SamplerUnderTest("Adams-Bashforth 2", lambda *given: adams(own, *given), 2))


def report():
    return look(False)


def sound():
    return look(True)
