"""Densities and scores against independent formulas, and against each other."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from sde_diffusion.exact import Gaussian, Mixture, SmoothedEmpirical
from sde_diffusion.kernel import Kernel
from tests.exact.exact_cases import LEVELS, close, covariance, laws, mixture, noisy, normal, points

pytestmark = pytest.mark.parametrize("level", LEVELS)


@pytest.mark.parametrize("name", laws())
def test_score_is_the_gradient_of_log_prob(name, level):
    law, kernel = laws()[name], LEVELS[level]
    x = noisy(law, kernel).requires_grad_()
    behind = law.through(kernel)
    (gradient,) = torch.autograd.grad(behind.log_prob(x).sum(), x)
    assert close(behind.score(x).detach(), gradient, 1e-10)


def test_mixture_is_the_one_of_torch(level):
    law, kernel = mixture(), LEVELS[level]
    alpha, sigma = kernel.alpha, kernel.sigma
    modes = MultivariateNormal(
        alpha * normal(3, 4, seed=2), alpha**2 * covariance(3, 4, 4, seed=3) + sigma**2 * torch.eye(4).double()
    )
    oracle = MixtureSameFamily(Categorical(torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)), modes)
    x = noisy(law, kernel)
    assert close(law.through(kernel).log_prob(x), oracle.log_prob(x.flatten(1)), 1e-10)


def test_gaussian_is_the_one_of_torch(level):
    mean, matrix, kernel = normal(2, 2), covariance(4, 4), LEVELS[level]
    law = Gaussian(mean, matrix)
    noise = kernel.sigma**2 * torch.eye(4, dtype=torch.float64)
    oracle = MultivariateNormal(kernel.alpha * mean.flatten(), kernel.alpha**2 * matrix + noise)
    x = noisy(law, kernel)
    assert close(law.through(kernel).log_prob(x), oracle.log_prob(x.flatten(1)), 1e-10)


@given(modes=st.integers(1, 4), rank=st.integers(0, 2), full=st.booleans(), seed=st.integers(0, 999))
def test_any_mixture_agrees_with_torch(level, modes, rank, full, seed):
    kernel, event = LEVELS[level], (2,) * rank
    d = 2**rank
    weights = normal(modes, seed=seed).softmax(0)
    means, variances = normal(modes, *event, seed=seed + 1), normal(modes, seed=seed + 2).exp()
    matrices = covariance(modes, d, d, seed=seed) if full else variances[:, None, None] * torch.eye(d).double()
    law = Mixture(weights, means, matrices if full else variances)
    spread = kernel.alpha**2 * matrices + kernel.sigma**2 * torch.eye(d).double()
    components = MultivariateNormal(kernel.alpha * means.reshape(modes, d), spread)
    x = noisy(law, kernel, seed=seed)
    log_joint = components.log_prob(x.reshape(-1, 1, d)) + weights.log()
    behind = law.through(kernel)
    assert close(behind.log_prob(x), log_joint.logsumexp(-1), 1e-9)
    assert close(behind.responsibilities(x), log_joint.softmax(-1), 1e-8)
    assert torch.equal(behind.classify(x), log_joint.argmax(-1))


def test_points_behind_noise_are_a_mixture_of_equal_isotropic_modes(level):
    law, kernel = points(), LEVELS[level]
    n = len(law.points)
    modes = law.points.reshape(n, 1, 3) * kernel.alpha
    oracle = Mixture(torch.full((n,), 1 / n), modes, kernel.sigma**2)
    x, behind = noisy(law, kernel), law.through(kernel)
    assert isinstance(behind, SmoothedEmpirical)
    assert close(behind.log_prob(x), oracle.log_prob(x), 1e-10)
    assert close(behind.score(x), oracle.score(x), 1e-9)
    for moment in ("mean", "variance", "covariance"):
        assert torch.allclose(getattr(behind, moment), getattr(oracle, moment), rtol=1e-12, atol=1e-14)
    again = Kernel(0.7, 0.4)
    assert close(behind.denoise(x, again), oracle.denoise(x, again), 1e-9)


@pytest.mark.parametrize("name", laws())
def test_channels_compose(name, level):
    law, first, then = laws()[name], LEVELS[level], Kernel(0.7, torch.tensor(0.5, dtype=torch.float64))
    whole = Kernel(first.alpha * 0.7, ((0.7 * first.sigma) ** 2 + 0.25) ** 0.5)
    x = noisy(law, whole)
    twice, once = law.through(first).through(then), law.through(whole)
    assert close(twice.log_prob(x), once.log_prob(x), 1e-12)
    assert close(twice.score(x), once.score(x), 1e-11)


@pytest.mark.parametrize("name", laws())
def test_moments_behind_a_channel(name, level):
    law, kernel = laws()[name], LEVELS[level]
    behind = law.through(kernel)
    noise = kernel.sigma**2 * torch.eye(len(law.covariance), dtype=torch.float64)
    assert torch.allclose(behind.mean, kernel.alpha * law.mean, rtol=1e-12, atol=1e-13)
    assert close(behind.covariance, kernel.alpha**2 * law.covariance + noise, 1e-12)
    assert close(behind.variance.reshape(-1), behind.covariance.diagonal(), 1e-12)
