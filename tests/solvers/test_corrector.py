"""The Langevin corrector: on a Gaussian law its recursion is known, step by step, and so is its stationary variance.

A step of the recursion is linear in its noises, so impulse responses give exact variances: no random number is drawn.
"""

from __future__ import annotations

import pytest
import torch

from solvers import EulerMaruyama, FixedGrid, ItoSDE, TargetFamily, WienerPath
from solvers.methods.predictor_corrector import PredictorCorrector

MEAN, VARIANCE, SCALE = 0.7, 0.8, 0.9


class Impulses(WienerPath):
    """One impulse a sample: sample k + c n is moved by channel c in step k of n alone, and the last by none."""

    def __init__(self, steps: int, channels: int, number: int = 0):
        self.steps, self.channels, self.number = steps, channels, number

    @property
    def batch(self) -> int:
        return self.steps * self.channels + 1

    def increment(self, t, s):
        dw = torch.zeros(self.batch, 1, dtype=torch.float64)
        dw[round(t * self.steps) + self.number * self.steps] = abs(s - t) ** 0.5
        return dw

    def channel(self, k):
        return Impulses(self.steps, self.channels, k)


def moments(equation: ItoSDE, snr: float, corrections: int, steps: int, growth: float = 0.0) -> tuple[float, float]:
    """Exact mean and variance after `steps` steps over [0, 1] from zero; the law's variance and scale may grow."""
    family = TargetFamily(
        equation, lambda x, t: (MEAN - x) / (VARIANCE + growth * t), lambda t: SCALE * (1 + growth * t)
    )
    path = Impulses(steps, corrections + 1)
    x = torch.zeros(path.batch, 1, dtype=torch.float64)
    x = FixedGrid(PredictorCorrector(EulerMaruyama(), snr, corrections), steps)(family, x, 0.0, 1.0, path)
    mean = x[-1].item()
    return mean, float((x[:-1] - mean).square().sum())


@pytest.mark.parametrize("snr", [0.05, 0.16, 0.4])
@pytest.mark.parametrize("corrections", [1, 3])
def test_alone_it_settles_on_the_law_but_for_its_known_bias(snr, corrections):
    """x <- x + e (m - x)/v + sqrt(2 e) z settles on mean m and variance v/(1 - e/(2 v)), with e = 2 (snr scale)^2."""
    still = ItoSDE(lambda x, t: 0 * x, lambda t: 0.0)
    e = 2 * (snr * SCALE) ** 2
    steps = min(4000, int(40 * VARIANCE / e)) // corrections
    mean, variance = moments(still, snr, corrections, steps)
    assert mean == pytest.approx(MEAN, rel=1e-6)
    assert variance == pytest.approx(VARIANCE / (1 - e / (2 * VARIANCE)), rel=1e-6)


@pytest.mark.parametrize("corrections", [1, 2])
def test_predictor_and_corrections_follow_one_another(corrections):
    """The recursion of both by hand. The noises are independent: no term in two of them. A correction is of the law at
    the step's end, in steps of the scale there."""
    steps, a, g, growth = 20, 0.6, 1.3, 1.5
    mean = variance = 0.0
    for k in range(1, steps + 1):
        law, e = VARIANCE + growth * k / steps, 2 * (0.2 * SCALE * (1 + growth * k / steps)) ** 2
        mean, variance = (1 - a / steps) * mean, (1 - a / steps) ** 2 * variance + g**2 / steps
        for _ in range(corrections):
            mean, variance = mean + e * (MEAN - mean) / law, (1 - e / law) ** 2 * variance + 2 * e
    found = moments(ItoSDE(lambda x, t: -a * x, lambda t: g), 0.2, corrections, steps, growth)
    assert found == (pytest.approx(mean), pytest.approx(variance))
