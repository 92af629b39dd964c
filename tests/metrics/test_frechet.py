"""The Frechet distance against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from sde_diffusion.metrics import frechet, frechet_of_moments


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_two_dimensions_in_closed_form(seed, scale):
    """For 2 x 2 matrices tr M^{1/2} = (tr M + 2 sqrt(det M))^{1/2} (Cayley-Hamilton), here with M = C_1 C_2."""
    (mean1, mean2), (a, b) = normal(2, 2, seed=seed), scale * normal(2, 2, 2, seed=seed + 1)
    cov1, cov2 = a @ a.mT, b @ b.mT
    product = cov1 @ cov2
    overlap = math.sqrt(float(product.trace()) + 2 * abs(float(a.det() * b.det())))
    expected = float((mean1 - mean2).square().sum() + cov1.trace() + cov2.trace()) - 2 * overlap
    distance = frechet_of_moments(mean1, cov1, mean2, cov2)
    assert distance == pytest.approx(expected, rel=1e-9, abs=1e-9 * scale**2)


@pytest.mark.parametrize("dimension", [3, 20])
def test_any_dimension_against_the_matrix_square_root(dimension):
    a, b = normal(2, dimension, dimension)
    cov1, cov2 = a @ a.mT, b @ b.mT
    zero = torch.zeros(dimension)
    expected = float(cov1.trace() + cov2.trace()) - 2 * float(np.trace(sqrtm((cov1 @ cov2).numpy())).real)
    assert frechet_of_moments(zero, cov1, zero, cov2) == pytest.approx(expected, rel=1e-8)


def test_one_dimension_is_the_distance_of_means_and_deviations():
    x, y = 3 * normal(50, 1) + 1, 0.5 * normal(70, 1, seed=1)
    expected = float((x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2)
    assert frechet(x, y) == pytest.approx(expected, rel=1e-12)


def test_covariances_without_full_rank_are_no_special_case():
    """Points on a 3-dimensional subspace of R^40, fewer than 40 of them: the distance is that of their coordinates."""
    x, y = normal(20, 3), 2 * normal(30, 3, seed=1) + 1
    basis = torch.linalg.qr(normal(40, 3, seed=2))[0]
    assert frechet(x @ basis.mT, y @ basis.mT) == pytest.approx(frechet(x, y), rel=1e-9)
    zero, cov = torch.zeros(3), torch.cov(x.mT)
    assert frechet_of_moments(zero, cov, zero + 1, 0 * cov) == pytest.approx(3 + float(cov.trace()), rel=1e-12)


@pytest.mark.parametrize("counts", [(5, 7), (5, 40), (40, 5), (20, 21)])
def test_few_samples_of_many_features_are_those_of_their_moments(counts):
    """Whichever of the two has no more samples than the 20 features."""
    generator = torch.Generator().manual_seed(sum(counts))
    x, y = (torch.randn(n, 20, generator=generator, dtype=torch.float64) * 3 + n for n in counts)
    exact = frechet_of_moments(x.mean(0), torch.cov(x.mT), y.mean(0), torch.cov(y.mT))
    assert frechet(x, y) == pytest.approx(exact, rel=1e-9)


def test_it_vanishes_for_equal_samples_and_not_under_a_rotation_of_one():
    x = normal(100, 5) * torch.arange(1, 6)
    assert frechet(x, x.clone()) < 1e-10
    assert frechet(x, x.flip(1)) > 1
    assert frechet(x.float(), x.flip(0).float()) < 1e-10


def test_equal_rotations_and_shifts_change_nothing():
    x, y = normal(60, 4), 2 * normal(50, 4, seed=1)
    q = torch.linalg.qr(normal(4, 4, seed=2))[0]
    assert frechet(x @ q + 1000, y @ q + 1000) == pytest.approx(frechet(x, y), rel=1e-8)


def test_what_is_no_pair_of_samples_is_refused():
    x = normal(5, 3)
    for bad, kind, sentence in [
        (x[:1], ValueError, r"N at least 2, got shape \(1, 3\)"),
        (x[:, :2], ValueError, "the same number of features, got 3 and 2"),
        (x.flatten(), ValueError, r"got shape \(15,\)"),
        (x.long(), TypeError, "got torch.int64"),
        (x.numpy(), TypeError, "got ndarray"),
        (x / torch.tensor([0, 1, 1]), ValueError, "5 of 5 rows hold NaN or infinity"),
    ]:
        with pytest.raises(kind, match=sentence):
            frechet(x, bad)
    with pytest.raises(ValueError, match="positive semi-definite, got the eigenvalue -1"):
        frechet_of_moments(torch.zeros(2), torch.eye(2), torch.zeros(2), -torch.eye(2))
