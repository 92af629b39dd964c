"""Kernel and energy distances: exact means, plain double sums, and errors that are those of leaving each sample out."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.metrics import (
    energy_distance,
    estimate_energy_distance,
    estimate_kernel_distance,
    kernel_distance,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def cubic(p: torch.Tensor, q: torch.Tensor) -> float:
    return (float(p @ q) / len(p) + 1) ** 3


def double_sum(x: torch.Tensor, y: torch.Tensor) -> float:
    """The unbiased estimate, pair by pair."""
    n, m = len(x), len(y)
    own_x = sum(cubic(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    own_y = sum(cubic(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return own_x + own_y - 2 * sum(cubic(p, q) for p in x for q in y) / (n * m)


def moments(mean: torch.Tensor, cov: torch.Tensor) -> list[torch.Tensor]:
    """E[X], E[X X], E[X X X] of a Gaussian, by Isserlis' theorem."""
    cross = torch.einsum("a,bc->abc", mean, cov)
    third = torch.einsum("a,b,c->abc", mean, mean, mean) + cross + cross.movedim(0, 1) + cross.movedim(0, 2)
    return [mean, cov + torch.outer(mean, mean), third]


def exact(one: list[torch.Tensor], other: list[torch.Tensor]) -> float:
    """MMD^2 of the cubic kernel: (u/D + 1)^3 = 1 + 3 u/D + 3 u^2/D^2 + u^3/D^3, and E u^p is an inner product of moments."""
    d = len(one[0])
    gaps = [float((a - b).square().sum()) for a, b in zip(one, other, strict=True)]
    return 3 * gaps[0] / d + 3 * gaps[1] / d**2 + gaps[2] / d**3


@pytest.mark.parametrize("chunk", [1, 7, 100])
def test_the_kernel_distance_is_the_double_sum_whatever_the_chunk(chunk):
    x, y = normal(12, 3), 2 * normal(9, 3, seed=1) + 1
    assert kernel_distance(x, y, chunk) == pytest.approx(double_sum(x, y), rel=1e-12)
    assert kernel_distance(y, x, chunk) == pytest.approx(double_sum(x, y), rel=1e-12)


def test_the_kernel_distance_has_the_mean_of_the_laws():
    """500 pairs of 12 and 9 points of Gaussians of D = 3: the mean within four standard errors, which are below 12%."""
    a = normal(3, 3, seed=7) / 2
    wanted = exact(moments(torch.full((3,), 0.7, dtype=torch.float64), a @ a.mT), moments(*standard(3)))
    pairs = ((normal(12, 3, seed=i) @ a.mT + 0.7, normal(9, 3, seed=i + 9000)) for i in range(500))
    found = torch.tensor([kernel_distance(x, y) for x, y in pairs])
    assert abs(float(found.mean()) - wanted) < 4 * float(found.std()) / math.sqrt(500) < 0.48 * wanted


def standard(d: int) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.zeros(d, dtype=torch.float64), torch.eye(d, dtype=torch.float64)


def test_the_kernel_distance_has_mean_zero_for_equal_laws():
    """1000 pairs of 8 points: below zero for many, the mean within four standard errors of zero."""
    found = torch.tensor([kernel_distance(normal(8, 2, seed=i), normal(8, 2, seed=i + 9000)) for i in range(1000)])
    assert abs(float(found.mean())) < 4 * float(found.std()) / math.sqrt(1000)
    assert 0.3 < float((found < 0).double().mean()) < 0.8


@pytest.mark.parametrize(
    ("metric", "estimate"),
    [(kernel_distance, estimate_kernel_distance), (energy_distance, estimate_energy_distance)],
    ids=["kernel", "energy"],
)
def test_the_error_is_that_of_leaving_each_sample_out(metric, estimate):
    x, y = normal(30, 3), normal(27, 3, seed=1) + 0.5

    def spread(values: list[float]) -> float:
        found = torch.tensor(values, dtype=torch.float64)
        return float((found - found.mean()).square().sum()) * (len(values) - 1) / len(values)

    rows = (
        [torch.cat([x[:i], x[i + 1 :]]) for i in range(len(x))],
        [torch.cat([y[:i], y[i + 1 :]]) for i in range(len(y))],
    )
    wanted = math.sqrt(spread([metric(some, y) for some in rows[0]]) + spread([metric(x, some) for some in rows[1]]))
    found = estimate(x, y, level=0.9, chunk=8)
    assert found.value == pytest.approx(metric(x, y), rel=1e-6)
    assert found.high - found.low == pytest.approx(2 * 1.6448536 * wanted, rel=1e-6)
    assert (found.n, found.seed) == (30, None)


def test_intervals_hold_the_exact_kernel_distance():
    """N(1/2, I) against N(0, I) in 8 dimensions, 80 of each: of 200 intervals of 90%, 166 to 194 hold it."""
    wanted = exact(
        moments(torch.full((8,), 0.5, dtype=torch.float64), torch.eye(8, dtype=torch.float64)), moments(*standard(8))
    )
    pairs = ((normal(80, 8, seed=i) + 0.5, normal(80, 8, seed=i + 9000)) for i in range(200))
    hits = sum(wanted in estimate_kernel_distance(x, y, level=0.9) for x, y in pairs)
    assert 166 <= hits <= 194


def test_too_few_samples_for_an_error_are_refused():
    x = normal(5, 2)
    assert math.isfinite(kernel_distance(x, x[:2]))
    for estimate in (estimate_kernel_distance, estimate_energy_distance):
        with pytest.raises(ValueError, match="N at least 3"):
            estimate(x, x[:2])
