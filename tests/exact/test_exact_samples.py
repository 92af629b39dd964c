"""Draws against the densities they claim, at significance 1e-3 for each test and seed, 4000 draws."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import Empirical, Gaussian, Mixture, SmoothedEmpirical
from sde_diffusion.exact.law import Law
from tests.exact.exact_cases import laws, normal, points, rng

DRAWS, SIGNIFICANCE = 4000, 1e-3


def shadow(law: Law, direction: torch.Tensor) -> Law:
    """The one-dimensional law of <direction, x>."""
    if isinstance(law, Gaussian):
        variance = direction @ law.covariance @ direction
        return Gaussian((law.mean.reshape(-1) @ direction).reshape(1), variance.reshape(1, 1))
    if isinstance(law, SmoothedEmpirical):
        return Empirical((law.points @ direction)[:, None]).through(law.kernel)
    assert isinstance(law, Mixture)
    basis = torch.eye(len(direction)).double() if law.basis is None else law.basis
    variances = (direction @ basis).square() * law.spectrum
    return Mixture(law.weights, (law.centres @ direction)[:, None], variances.sum(-1))


def distribution_function(law: Law, x: torch.Tensor) -> torch.Tensor:
    """P(X <= x) of a one-dimensional law by integrating exp(log_prob) over ten standard deviations."""
    reach = 10 * law.variance.sqrt().max()
    grid = torch.linspace(float(law.mean - reach), float(law.mean + reach), 20001, dtype=torch.float64)
    mass = torch.cumulative_trapezoid(law.log_prob(grid[:, None]).exp(), grid)
    assert abs(float(mass[-1]) - 1) < 1e-6
    return mass[torch.searchsorted(grid, x).clamp(1, len(mass)) - 1]


@pytest.mark.parametrize("name", laws())
def test_draws_follow_the_density(name):
    """Kolmogorov-Smirnov along a random direction."""
    from scipy.stats import kstest

    law = laws()[name]
    direction = normal(law.event_shape.numel(), seed=3)
    direction = direction / direction.norm()
    x = law.sample(DRAWS, rng(4)).reshape(DRAWS, -1) @ direction
    levels = distribution_function(shadow(law, direction), x)
    assert kstest(levels.numpy(), "uniform").pvalue > SIGNIFICANCE


@pytest.mark.parametrize("name", [*laws(), "points"])
def test_draws_have_the_moments(name):
    """The mean by Hotelling's statistic; each whitened second moment within 5 standard errors (p < 1e-5 for 16)."""
    from scipy.stats import chi2

    law = {**laws(), "points": points()}[name]
    d = law.event_shape.numel()
    x = law.sample(DRAWS, rng(5)).reshape(DRAWS, d)
    root = torch.linalg.cholesky(law.covariance)
    z = torch.linalg.solve_triangular(root, (x - law.mean.reshape(-1)).mT, upper=False).mT
    assert chi2.sf(float(DRAWS * z.mean(0).square().sum()), d) > SIGNIFICANCE
    products = z[:, :, None] * z[:, None, :]
    errors = products.std(0) / DRAWS**0.5
    assert bool(((products.mean(0) - torch.eye(d)).abs() < 5 * errors).all())


def test_points_are_drawn_evenly():
    from scipy.stats import chisquare

    law = points()
    counts = law.nearest(law.sample(DRAWS, rng(6))).bincount(minlength=len(law.points))
    assert chisquare(counts.numpy()).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("name", [*laws(), "points"])
def test_the_generator_decides(name):
    law = {**laws(), "points": points()}[name]
    again, other = law.sample(50, rng(8)), law.sample(50, rng(9))
    assert torch.equal(law.sample(50, rng(8)), again)
    assert not torch.equal(other, again)
    assert again.shape == (50, *law.event_shape)
    assert law.to(torch.float32).sample(5, rng()).dtype == torch.float32
