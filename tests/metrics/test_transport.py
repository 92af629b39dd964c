"""Sliced Wasserstein and energy distances against exact values."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from sde_diffusion.metrics import energy_distance, sliced_wasserstein
from sde_diffusion.metrics.sliced_wasserstein import orthogonal_directions, wasserstein_squared


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(n=st.integers(1, 12), m=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_transport_on_the_line_is_exact_for_unequal_samples(n, m, seed):
    """Repeat each point until both samples have n m points: the plan is then the sorted matching."""
    x, y = normal(n, 2, seed=seed), 2 * normal(m, 2, seed=seed + 1)
    expected = (x.sort(0).values.repeat_interleave(m, 0) - y.sort(0).values.repeat_interleave(n, 0)).square().mean(0)
    torch.testing.assert_close(wasserstein_squared(x, y), expected)


@pytest.mark.parametrize("dimension", [1, 2, 7])
def test_a_shift_has_the_length_the_theory_says(dimension):
    """SW_2 = |d| / sqrt(D) exactly, for whole bases of directions."""
    x, d = normal(100, dimension), normal(dimension, seed=1)
    assert sliced_wasserstein(x, x + d, 4 * dimension) == pytest.approx(float(d.norm()) / math.sqrt(dimension))


def test_shifted_gaussians_from_separate_samples():
    """20,000 points each: W_2 on a line is off by O(log N / N), and the shift by its standard error; 2 % in all."""
    x, y = normal(20_000, 4), normal(15_000, 4, seed=1) + torch.tensor([1.0, 2.0, 2.0, 0.0])
    assert sliced_wasserstein(x, y, 32) == pytest.approx(3 / 2, rel=0.02)


def test_scaled_gaussians_are_told_apart_by_their_deviations():
    """N(0, 1) to N(0, s^2): every slice is |s - 1|."""
    x = normal(5000, 3)
    assert sliced_wasserstein(x, 3 * x, 30) == pytest.approx(2, rel=0.02)


def test_partial_bases_leave_the_mean_square_unbiased():
    """One direction in R^3, 2000 seeds: (theta . d)^2 has mean 1/3 and variance 4/45 for |d| = 1; 4 deviations."""
    d = torch.tensor([[0.6, 0.0, 0.8]], dtype=torch.float64)
    squares = torch.stack([(d @ orthogonal_directions(3, 1, seed)).square() for seed in range(2000)])
    assert abs(float(squares.mean()) - 1 / 3) < 4 * math.sqrt(4 / 45 / 2000)


def test_directions_are_orthonormal_bases_fixed_by_the_seed():
    theta = orthogonal_directions(3, 8, seed=5)
    for basis in theta.split(3, dim=1):
        torch.testing.assert_close(basis.mT @ basis, torch.eye(basis.shape[1], dtype=torch.float64))
    assert torch.equal(theta, orthogonal_directions(3, 8, seed=5))
    assert not torch.allclose(theta, orthogonal_directions(3, 8, seed=6))
    x, y = normal(30, 3), normal(40, 3, seed=1)
    assert sliced_wasserstein(x, y, seed=1) == sliced_wasserstein(y, x, seed=1) != sliced_wasserstein(x, y, seed=2)
    with pytest.raises(ValueError, match="number of directions is at least 1"):
        sliced_wasserstein(x, y, 0)


def test_the_energy_distance_is_the_double_sum_whatever_the_chunk():
    x, y = normal(30, 3), normal(27, 3, seed=1)  # over 25 rows, where torch.cdist multiplies matrices

    def mean_distance(a, b, ordered_pairs):
        return sum(float((p - q).norm()) for p in a for q in b) / ordered_pairs

    expected = 2 * mean_distance(x, y, 30 * 27) - mean_distance(x, x, 30 * 29) - mean_distance(y, y, 27 * 26)
    for chunk in (1, 7, 100):
        assert energy_distance(x, y, chunk) == pytest.approx(expected, rel=1e-6)
    assert energy_distance(x + 1e7, y + 1e7) == pytest.approx(expected, rel=1e-6)


def test_the_energy_distance_has_mean_zero_for_equal_laws():
    """400 pairs of small samples: the mean within four standard errors of zero, where a V-statistic has 0.26."""
    values = torch.tensor([energy_distance(normal(10, 2, seed=i), normal(7, 2, seed=i + 5000)) for i in range(400)])
    assert abs(float(values.mean())) < 4 * float(values.std()) / math.sqrt(400) < 0.15


def test_the_energy_distance_agrees_with_quadrature_on_the_line():
    """E = 2 int (F - G)^2 dx (Szekely & Rizzo, 2013, section 2); 400 pairs of samples, four standard errors."""
    law = norm(0.7, 1.5)
    expected = 2 * quad(lambda z: (norm.cdf(z) - law.cdf(z)) ** 2, -15, 15)[0]
    pairs = ((normal(40, 1, seed=i), 1.5 * normal(30, 1, seed=i + 5000) + 0.7) for i in range(400))
    values = torch.tensor([energy_distance(x, y) for x, y in pairs])
    assert abs(float(values.mean()) - expected) < 4 * float(values.std()) / math.sqrt(400) < 0.25 * expected


def test_one_point_is_too_few():
    with pytest.raises(ValueError, match="N at least 2"):
        energy_distance(normal(1, 2), normal(5, 2))
