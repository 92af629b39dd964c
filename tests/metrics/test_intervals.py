"""Errors by halves and Wilson's intervals: exact cases, and what they cover."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import binom, binomtest

from sde_diffusion.metrics import estimate_distance, estimate_manifold, frechet, from_share, sliced_wasserstein
from sde_diffusion.metrics.estimate import from_error, normal_quantile
from sde_diffusion.metrics.half_samples import half_sampled


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gap(x: torch.Tensor, y: torch.Tensor) -> tuple[float]:
    return (float(x.mean() - y.mean()),)


@pytest.mark.parametrize(("n", "m"), [(200, 200), (100, 300)])
def test_the_error_of_a_mean_is_that_of_the_theory(n, m):
    """The mean of a random half deviates by s/sqrt(n) about that of the whole, exactly; 4000 halves know it to 1.2%."""
    x, y = normal(n, 1), 2 * normal(m, 1, seed=1)
    (found,) = half_sampled(gap, x, y, resamples=4000)
    assert found.value == float(x.mean() - y.mean())
    assert found.error == pytest.approx(math.sqrt(float(x.var()) / n + float(y.var()) / m), rel=0.05)


def test_odd_sizes_are_scaled():
    """Of 5 rows 2 are kept: the mean's variance is s^2 (1/2 - 1/5), and r/(n - r) = 2/3 makes it s^2/5."""
    x = normal(5, 1)
    (found,) = half_sampled(gap, x, torch.zeros(5, 1, dtype=torch.float64), resamples=4000)
    assert found.error == pytest.approx(math.sqrt(float(x.var()) / 5), rel=0.05)


def test_sets_are_a_mean_and_errors_fall_with_them():
    x, y = normal(80, 2), normal(20, 2, seed=1)
    one = estimate_distance(frechet, x, y, sets=4, resamples=10, seed=3)
    assert one.value == pytest.approx(sum(frechet(part, y) for part in x.split(20)) / 4)
    assert (one.n, one.seed) == (20, 3)
    assert one == estimate_distance(frechet, x, y, sets=4, resamples=10, seed=3)
    assert one != estimate_distance(frechet, x, y, sets=4, resamples=10, seed=4)


def test_no_row_stands_twice_in_a_half():
    seen = []
    x, y = torch.arange(40.0).reshape(20, 2), torch.arange(100.0, 120.0).reshape(10, 2)
    half_sampled(lambda a, b: (seen.append((a, b)), 0.0)[1:], x, y, resamples=5)
    *halves, whole = seen
    assert all(len(a.unique(dim=0)) == 10 and len(b.unique(dim=0)) == 5 for a, b in halves)
    assert torch.equal(whole[0], x)


@pytest.mark.parametrize(("right", "of", "level"), [(0, 10, 0.95), (7, 9, 0.9), (100, 100, 0.99), (350, 360, 0.95)])
def test_shares_have_wilsons_interval(right, of, level):
    wanted = binomtest(right, of).proportion_ci(level, "wilson")
    found = from_share(right / of, of, of, level=level)
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high), abs=1e-12)


def test_a_level_is_that_of_the_normal_law():
    assert normal_quantile(0.95) == pytest.approx(1.959964, abs=1e-6)
    found = from_error(3.0, 2.0, 10, level=0.5)
    assert (found.low, found.high) == pytest.approx((3 - 2 * 0.6744898, 3 + 2 * 0.6744898))


# Coverage. A law of samples N(shift, scale^2) and one of data N(0, 1), in 8 dimensions, 100 of each.


def pair(i: int) -> tuple[torch.Tensor, torch.Tensor]:
    return 1.3 * normal(100, 8, seed=2 * i) + 0.35, normal(100, 8, seed=2 * i + 1)


def distances(x: torch.Tensor, y: torch.Tensor, seed: int) -> dict[str, object]:
    found = {name: estimate_distance(metric, x, y, resamples=40, seed=seed) for name, metric in METRICS.items()}
    return {**found, **estimate_manifold(x, y, resamples=40, seed=seed)}


METRICS = {"frechet": frechet, "sliced": lambda x, y: sliced_wasserstein(x, y, 16)}


@pytest.mark.slow
def test_nineteen_in_twenty_intervals_hold_the_expectation():
    """Each estimate's expectation by 120 other pairs; of 120 intervals at 95%, no less than a binomial of 0.9 allows."""
    found = [distances(*pair(i), seed=i) for i in range(240)]
    for name in found[0]:
        mean = sum(one[name].value for one in found[120:]) / 120
        hits = sum(mean in one[name] for one in found[:120])
        assert hits >= binom.ppf(1e-4, 120, 0.9), (name, hits)
        widths = sum(one[name].high - one[name].low for one in found) / 240
        spread = torch.tensor([one[name].value for one in found]).std()
        assert widths < 2 * 3.92 * float(spread), name


def test_senseless_requests_for_halves_are_refused():
    x = normal(8, 2)
    for few in ({"sets": 3}, {"sets": 0}, {"resamples": 1}):
        with pytest.raises(ValueError, match="halves are taken of at least 4 rows"):
            half_sampled(gap, x, x, **few)
    with pytest.raises(ValueError, match=r"lies in \(0, 1\), got 1"):
        from_error(0.0, 1.0, 3, level=1.0)
    with pytest.raises(ValueError, match="a share lies in"):
        from_share(1.2, 3, 3)


def test_the_interval_of_a_distance_has_no_negative_numbers():
    """Few rows of equal laws: the normal interval reaches below 0, where no distance is."""
    x, y = torch.randn(2, 12, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    one = estimate_distance(frechet, x, y, resamples=20)
    assert one.low == 0 < one.value < one.high
