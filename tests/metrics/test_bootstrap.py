"""Intervals cover what they promise, and narrow as they should."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binom, norm

from sde_diffusion.metrics import Estimate, bootstrap, frechet


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def mean(x: torch.Tensor) -> float:
    return float(x.mean())


def test_the_interval_of_a_mean_is_that_of_the_theory():
    """For the mean, resampling has deviation s / sqrt(N) exactly; 4000 resamples know the 5 % quantile to 4 %."""
    x = normal(200, seed=0)
    estimate = bootstrap(mean, x, resamples=4000, level=0.9)
    half = norm.ppf(0.95) * float(x.std(correction=0)) / math.sqrt(200)
    assert estimate.value == pytest.approx(float(x.mean()))
    assert (estimate.value - estimate.low, estimate.high - estimate.value) == pytest.approx((half, half), rel=0.1)


def test_nine_in_ten_intervals_hold_the_mean():
    """300 samples of 100: the count of hits lies between the 1e-4 quantiles of binomials of 0.87 and 0.93."""
    hits = sum(0.0 in bootstrap(mean, normal(100, seed=i), resamples=200, level=0.9, seed=i) for i in range(300))
    assert binom.ppf(1e-4, 300, 0.87) <= hits <= binom.ppf(1 - 1e-4, 300, 0.93)


def test_intervals_of_a_biased_metric_hold_its_expectation():
    """Frechet distance of N(0, I) and N(1, 4 I) in the plane at N = 60: expectation by 2000 repetitions."""

    def pair(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        return normal(60, 2, seed=seed), 2 * normal(60, 2, seed=10**6 + seed) + 1

    expectation = sum(frechet(*pair(5000 + i)) for i in range(1500)) / 1500
    assert expectation > 4 + 0.02  # the distance of the laws is 4
    hits = sum(expectation in bootstrap(frechet, *pair(i), resamples=60, level=0.9, seed=i) for i in range(80))
    assert binom.ppf(1e-3, 80, 0.84) <= hits <= 80


def test_an_estimate_is_a_function_of_its_seed():
    x = normal(50, seed=0)
    assert bootstrap(mean, x, seed=3) == bootstrap(mean, x, seed=3)
    assert bootstrap(mean, x, seed=3) != bootstrap(mean, x, seed=4)
    estimate = bootstrap(mean, x, seed=3)
    assert (estimate.n, estimate.seed) == (50, 3)
    assert estimate.value in estimate
    assert str(Estimate(1.23456, 1.1, 1.4, 10, 0)) == "1.235 [1.1, 1.4]"


def test_samples_are_resampled_each_on_its_own():
    """If both were given the same rows the difference of a sample and itself could not vary."""
    x = normal(50, seed=0)
    estimate = bootstrap(lambda a, b: float(a.mean() - b.mean()), x, x)
    half = norm.ppf(0.975) * float(x.std()) * math.sqrt(2 / 50)
    assert estimate.high - estimate.low == pytest.approx(2 * half, rel=0.3)


def test_senseless_requests_are_refused():
    x = normal(5, seed=0)
    for samples, options in [((), {}), ((x[:0],), {}), ((x,), {"level": 1.0}), ((x,), {"resamples": 1})]:
        with pytest.raises(ValueError, match=r"the bootstrap needs|resamples is at least 2"):
            bootstrap(mean, *samples, **options)
