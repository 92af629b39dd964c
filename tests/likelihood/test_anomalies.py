"""Anomaly scores where the answer is known: uniform p-values for the law, areas with a closed form for strangers."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.likelihood.anomalies import Profile, denoising_errors, reconstruction_error, typicality
from sde_diffusion.metrics import auroc, p_values
from sde_diffusion.sde import VP
from tests.likelihood.laws import rng

LAW = Gaussian.isotropic(0.0, 1.0, (20,))
SDE, DENOISER = VP(), ExactDenoiser(LAW)


def test_p_values_of_the_law_are_uniform():
    """Each of (1 .. n+1)/(n+1) equally often over 4000 calibration sets of 9: a chi-square of 9 degrees of freedom."""
    draws = torch.randn(4000, 10, generator=rng(1), dtype=torch.float64)
    p = torch.cat([p_values(row[:1], row[1:]) for row in draws])
    counts = torch.bincount((p * 10).round().long() - 1, minlength=10)
    assert len(counts) == 10
    assert (counts - 400.0).square().sum().item() / 400 < 28  # its 99.9% quantile


def test_p_values_count_ties_against_the_stranger():
    assert p_values(torch.tensor([2.0, 5.0, 0.0]), torch.tensor([1.0, 2.0, 3.0])).tolist() == [0.75, 0.25, 1.0]
    with pytest.raises(ValueError, match="calibration"):
        p_values(torch.ones(2), torch.ones(0))


def test_the_area_between_two_normal_laws():
    """P(X + 1 > Y) = Phi(1/sqrt 2) for standard normal X and Y; ties count half; the order reverses it."""
    x, y = (torch.randn(20_000, generator=rng(k), dtype=torch.float64) for k in (2, 3))
    assert auroc(x + 1, y) == pytest.approx(0.5 * (1 + math.erf(0.5)), abs=0.01)
    assert auroc(y, x + 1) == pytest.approx(1 - auroc(x + 1, y))
    assert auroc(torch.ones(3), torch.ones(4)) == 0.5
    with pytest.raises(ValueError, match="both kinds"):
        auroc(torch.ones(0), torch.ones(1))


def test_denoising_errors_of_a_gaussian_are_its_posterior_variances():
    """Over 1000 events of N(0, I) the error at noise level k is k^2/(1 + k^2); of events twice as long more by a known bit."""
    x = LAW.sample(1000, rng(4))
    levels = (0.3, 1.0, 3.0)
    found = denoising_errors(SDE, DENOISER, x, 1.0, levels, 200, rng(5)).mean(0)
    expected = torch.tensor([k**2 / (1 + k**2) for k in levels]).double()
    torch.testing.assert_close(found, expected, rtol=0.12, atol=0)
    more = denoising_errors(SDE, DENOISER, 2 * x, 1.0, levels, 200, rng(5)).mean(0) - found
    shrink = torch.tensor([k**4 / (1 + k**2) ** 2 for k in levels]).double()
    torch.testing.assert_close(more, 3 * shrink, rtol=0.05, atol=0.01)


def test_the_reconstruction_of_a_gaussian_is_a_linear_map():
    """The flow from level k shrinks x_t/alpha = x + k z by 1/sqrt(1 + k^2): the mean square error in closed form."""
    x, k = LAW.sample(1000, rng(6)), 0.8
    found = reconstruction_error(SDE, DENOISER, x, 1.0, k, 30, 100, rng(7)).mean().item()
    shrink = 1 / math.sqrt(1 + k**2)
    assert found == pytest.approx((1 - shrink) ** 2 + (shrink * k) ** 2, rel=0.12)


def test_typicality_sees_what_is_too_likely_and_the_likelihood_does_not():
    """The mean of N(0, I) is its likeliest point and no typical one."""
    inliers, strangers = LAW.sample(500, rng(8)), 0.1 * LAW.sample(500, rng(9))
    seen, asked = LAW.log_prob(inliers), LAW.log_prob(strangers)
    assert auroc(-asked, -seen) < 0.01
    assert auroc(typicality(asked, seen), typicality(seen, seen)) > 0.95


def test_a_profile_is_a_mahalanobis_distance():
    """Log-errors that are normal: the squares of the distances are chi-square with as many degrees as levels."""
    root = torch.tensor([[0.3, 0.0], [0.2, 0.1]], dtype=torch.float64)
    errors = (torch.randn(20_000, 2, generator=rng(10), dtype=torch.float64) @ root.mT - 1).exp()
    squares = Profile.of(errors[:10_000]).distance(errors[10_000:]).square()
    assert squares.mean().item() == pytest.approx(2.0, rel=0.05)
    assert squares.var().item() == pytest.approx(4.0, rel=0.15)
    with pytest.raises(ValueError, match="more events"):
        Profile.of(errors[:2])
