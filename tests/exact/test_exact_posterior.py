"""Exact posteriors against Bayes' rule at points, closed forms, and each other."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sde_diffusion.exact import Mixture, ScalarPosterior, given_linear
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.observations import Matrix, OneBit, Projection, Square
from tests.exact.exact_cases import mixture, normal, rng
from tests.observations.observed_cases import linear

ISOTROPIC = Mixture([0.3, 0.7], [[-1.0, 0.0], [1.0, 0.5]], [0.09, 0.25])


def law_of(shape: tuple[int, ...]) -> Mixture:
    """Three modes with full covariances over samples of a shape."""
    d = math.prod(shape)
    root = normal(3, d, d, seed=21) / d**0.5
    return Mixture([0.2, 0.5, 0.3], normal(3, *shape, seed=20), root @ root.mT + 0.1 * torch.eye(d))


@pytest.mark.parametrize("name", linear())
def test_bayes_rule_at_points(name):
    """log p(x | y) = log p(x) + log p(y | x) - log p(y), with the posterior's own density on the left."""
    observation, shape = linear()[name]
    law = law_of(shape)
    posterior, evidence = given_linear(law, observation)
    x = normal(5, *shape, seed=3)
    torch.testing.assert_close(posterior.log_prob(x), law.log_prob(x) + observation.log_prob(x) - evidence)


class _Line(Projection):
    """y = z + 0.3 eps: a linear observation by its density alone."""

    def log_likelihood(self, z: Tensor) -> Tensor:
        return -((0.4 - z) / 0.3).square() / 2 - math.log(0.3 * math.sqrt(2 * math.pi))

    def _along(self, direction: Tensor, offset: float) -> _Line:
        return _Line(direction, offset)


@pytest.mark.parametrize("law", [mixture(), ISOTROPIC], ids=["full", "isotropic"])
def test_the_quadrature_agrees_with_the_closed_form_where_there_is_one(law):
    direction = normal(*law.event_shape, seed=9)
    scalar = ScalarPosterior(law, _Line(direction))
    closed, evidence = given_linear(law, Matrix(torch.tensor([0.4], dtype=torch.float64), direction.unsqueeze(0), 0.3))
    assert scalar.log_evidence() == pytest.approx(evidence, abs=1e-9)
    x = normal(5, *law.event_shape, seed=10)
    torch.testing.assert_close(scalar.log_prob(x), closed.log_prob(x), rtol=0, atol=1e-9)
    drawn = [closed.sample(4000, rng(seed)).flatten(1) for seed in (1, 2)]
    floor = sliced_wasserstein(drawn[0], drawn[1])
    assert sliced_wasserstein(scalar.sample(4000, rng(3)).flatten(1), drawn[0]) < 1.6 * floor


def test_the_evidence_of_one_bit_is_the_probit_of_each_mode():
    direction, law = normal(2, 2, seed=6), mixture()
    a = direction.flatten()
    parts = []
    for k, weight in enumerate(law.weights):
        variance = a @ (law.basis[k] * law.spectrum[k]) @ law.basis[k].mT @ a
        parts.append(weight * torch.special.ndtr(-(law.centres[k] @ a) / (0.2**2 + variance).sqrt()))
    found = ScalarPosterior(law, OneBit(-1, direction, 0.2)).log_evidence()
    assert found == pytest.approx(math.log(sum(parts)), abs=1e-9)


def test_draws_of_the_square_have_the_law_of_its_density():
    """Moments of the draws against sums over a fine grid of the plane."""
    posterior = ScalarPosterior(ISOTROPIC, Square(0.8, torch.tensor([1.0, 0.4], dtype=torch.float64), 0.2))
    axis = torch.linspace(-4, 4, 401, dtype=torch.float64)
    plane = torch.cartesian_prod(axis, axis)
    mass = posterior.log_prob(plane).exp() * (axis[1] - axis[0]) ** 2
    assert mass.sum().item() == pytest.approx(1, abs=1e-6)
    drawn = posterior.sample(20_000, rng(4))
    for function in (
        lambda x: x[:, 0],
        lambda x: x[:, 0] * x[:, 1],
        lambda x: x[:, 1] ** 2,
        lambda x: (x[:, 0] > 0) * 1.0,
    ):
        wanted, values = (mass * function(plane)).sum(), function(drawn)
        assert abs(values.mean() - wanted) < 4 * values.std() / math.sqrt(len(drawn)) + 1e-4
