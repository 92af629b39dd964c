"""Precision, recall, density and coverage against plain loops and exact means."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.metrics import density_coverage, estimate_manifold, precision_recall
from sde_diffusion.metrics.manifold import radii


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def ball(points: torch.Tensor, i: int, k: int) -> float:
    """The distance of point i to its k-th nearest other."""
    return sorted(float((points[i] - other).norm()) for j, other in enumerate(points) if j != i)[k - 1]


def inside(points: torch.Tensor, centres: torch.Tensor, k: int) -> list[int]:
    """For each point, how many balls around the centres hold it."""
    reach = [ball(centres, i, k) for i in range(len(centres))]
    return [sum(float((p - c).norm()) <= r for c, r in zip(centres, reach, strict=True)) for p in points]


@pytest.mark.parametrize("k", [1, 4])
@pytest.mark.parametrize("chunk", [5, 1000])
def test_all_four_are_what_plain_loops_say(k, chunk):
    x, truth = normal(33, 2) * 0.8 + 1.7, normal(28, 2, seed=1)
    holding = inside(x, truth, k)
    precision = sum(count > 0 for count in holding) / 33
    recall = sum(count > 0 for count in inside(truth, x, k)) / 28
    own = [any(float((p - c).norm()) <= ball(truth, i, k) for p in x) for i, c in enumerate(truth)]
    assert 0 < precision < 1
    assert precision_recall(x, truth, k, chunk) == pytest.approx((precision, recall))
    assert density_coverage(x, truth, k, chunk) == pytest.approx((sum(holding) / (k * 33), sum(own) / 28))


def test_radii_are_those_of_the_kth_nearest_other():
    x = normal(40, 3)
    wanted = torch.tensor([ball(x, i, 3) for i in range(40)], dtype=torch.float64)
    for chunk in (1, 7, 100):
        torch.testing.assert_close(radii(x, 3, chunk), wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("n", "m", "k"), [(20, 20, 3), (15, 30, 2)])
def test_equal_laws_have_the_exact_means(n, m, k):
    """1500 pairs: density 1, coverage 1 - prod (n - i)/(m + n - i); each within four standard errors."""
    found = torch.tensor(
        [density_coverage(normal(m, 2, seed=i), normal(n, 2, seed=i + 9000), k) for i in range(1500)],
        dtype=torch.float64,
    )
    covered = 1 - math.prod((n - i) / (m + n - i) for i in range(1, k + 1))
    error = found.std(0) / math.sqrt(1500)
    assert ((found.mean(0) - torch.tensor([1.0, covered])).abs() < 4 * error).all()
    assert (error < torch.tensor([0.02, 0.01])).all()


def test_sets_far_apart_share_nothing_and_a_copy_shares_all():
    x = normal(30, 3)
    assert precision_recall(x + 100, x) == (0, 0)
    assert density_coverage(x + 100, x) == (0, 0)
    assert precision_recall(x, x) == (1, 1)
    assert density_coverage(x, x)[1] == 1


def test_a_model_that_drops_a_mode_is_precise_and_covers_half():
    """Two far Gaussians, samples of one: precision and density as for equal laws, half of recall and coverage."""
    truth, x = normal(400, 2), normal(200, 2, seed=1)
    truth[200:] += 50
    (precision, recall), (density, coverage) = precision_recall(x, truth), density_coverage(x, truth)
    assert precision > 0.9
    assert density == pytest.approx(1, abs=0.25)
    assert recall == pytest.approx(0.5, abs=0.05)
    assert coverage == pytest.approx(0.5, abs=0.05)


def test_one_outlier_makes_precision_large_and_density_not():
    """The ball of one far outlier holds most samples: each counts whole for precision, a k-th for density."""
    truth = normal(200, 2)
    truth[:1] = torch.tensor([[40.0, 0.0]])
    x = normal(200, 2, seed=1) + torch.tensor([15.0, 0.0])
    assert precision_recall(x, truth)[0] > 0.4
    assert density_coverage(x, truth)[0] < 0.25


def test_offsets_and_rotations_change_nothing():
    x, truth = normal(40, 3) + 0.5, normal(50, 3, seed=1)
    q = torch.linalg.qr(normal(3, 3, seed=2))[0]
    assert precision_recall(x @ q + 1e6, truth @ q + 1e6) == precision_recall(x, truth)
    assert density_coverage(x @ q + 1e6, truth @ q + 1e6) == pytest.approx(density_coverage(x, truth))


def test_estimates_hold_the_values_and_no_share_is_certain():
    x, truth = normal(60, 2) + 0.5, normal(60, 2, seed=1)
    found = estimate_manifold(x, truth, resamples=20, seed=4)
    values = {**dict(zip(("precision", "recall"), precision_recall(x, truth), strict=True))}
    values |= dict(zip(("density", "coverage"), density_coverage(x, truth), strict=True))
    assert {name: one.value for name, one in found.items()} == pytest.approx(values)
    assert all(one.value in one and (one.n, one.seed) == (60, 4) for one in found.values())
    apart = estimate_manifold(x + 100, truth, resamples=5)
    assert (apart["precision"].value, apart["precision"].low) == (0, 0)
    assert apart["precision"].high == pytest.approx(1.96**2 / (60 + 1.96**2), rel=1e-3)  # Wilson's for 0 of 60


def test_several_sets_are_a_mean_over_them():
    x, truth = normal(80, 2), normal(40, 2, seed=1)
    both = estimate_manifold(x, truth, sets=2, resamples=3)
    halves = [estimate_manifold(part, truth, resamples=3) for part in x.split(40)]
    for name, one in both.items():
        assert one.value == pytest.approx((halves[0][name].value + halves[1][name].value) / 2)
        assert one.n == 40


def test_senseless_neighbours_are_refused():
    x = normal(12, 2)
    with pytest.raises(ValueError, match="k at least 1, got 0"):
        precision_recall(x, x, k=0)
    with pytest.raises(ValueError, match=r"N at least 13, got shape \(12, 2\)"):
        density_coverage(x, x, k=12)
    with pytest.raises(ValueError, match="give 12 of each set"):
        estimate_manifold(x[:11], x)
