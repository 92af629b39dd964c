"""Twists against exact posteriors of x_0 given x_t and y, and against the derivatives of their own densities."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sde_diffusion.denoisers import CallCounter, Conditioned
from sde_diffusion.exact import ClassDenoiser, ExactDenoiser, Gaussian, Mixture, MixtureOfClasses, ScalarPosterior
from sde_diffusion.exact.posterior import given_linear
from sde_diffusion.guidance.twists import (
    Guided,
    MomentMatching,
    Moments,
    Point,
    Proximal,
    PseudoInverse,
    Scalar,
    Twist,
)
from sde_diffusion.kernel import Kernel
from sde_diffusion.observations import Function, Mask, Matrix, OneBit, Square
from tests.observations.observed_cases import all_kinds, linear, normal

LEVELS = [Kernel(1.0, 0.05), Kernel(0.8, 0.6), Kernel(0.1, 0.99), Kernel(0.9, 3.0)]
PAIR = Matrix(torch.tensor([0.4, -0.2], dtype=torch.float64), normal(2, 3, seed=5), 0.2)


def prior(shape: tuple[int, ...]) -> Gaussian:
    d = math.prod(shape)
    root = normal(d, d, seed=21) / d**0.5
    return Gaussian(normal(*shape, seed=20), root @ root.mT + 0.1 * torch.eye(d))


def modes() -> Mixture:
    root = 0.5 * normal(3, 3, 3, seed=31)
    return Mixture([0.2, 0.5, 0.3], normal(3, 3, seed=30), root @ root.mT + 0.05 * torch.eye(3))


def given_noisy(law: Gaussian, x_t: Tensor, kernel: Kernel) -> Mixture:
    """x_0 given one x_t, by Bayes' rule on the whole vector."""
    d = x_t.numel()
    precision = law.covariance.inverse() + torch.eye(d, dtype=torch.float64) * kernel.alpha**2 / kernel.sigma**2
    information = law.covariance.inverse() @ law.mean.flatten() + kernel.alpha / kernel.sigma**2 * x_t.flatten()
    covariance = precision.inverse()
    return Mixture([1.0], (covariance @ information).reshape(1, *x_t.shape), ((covariance + covariance.mT) / 2)[None])


@pytest.mark.parametrize("kernel", LEVELS)
@pytest.mark.parametrize("name", linear())
def test_moment_matching_is_exact_for_a_gaussian_prior(name, kernel):
    observation, shape = linear()[name]
    law, x = prior(shape), normal(2, *shape, seed=2)
    found = MomentMatching(observation)(Moments(ExactDenoiser(law), x, kernel))
    for i in range(len(x)):
        posterior, evidence = given_linear(given_noisy(law, x[i], kernel), observation)
        plain = law.denoise(x[i : i + 1], kernel)[0]
        torch.testing.assert_close(plain + found.shift[i], posterior.mean, rtol=0, atol=1e-10)
        assert found.log_prob[i].item() == pytest.approx(evidence, abs=1e-9)


@pytest.mark.parametrize("kind", [PseudoInverse, Proximal])
@pytest.mark.parametrize("kernel", LEVELS[1:])
def test_one_variance_is_exact_for_white_data(kind, kernel):
    observation, shape = linear()["average of pictures"]
    law, x = Gaussian.isotropic(0.3, 0.7, shape), normal(1, *shape, seed=2)
    found = kind(observation, data_std=0.7)(Moments(ExactDenoiser(law), x, kernel, kind.differentiable))
    posterior, evidence = given_linear(given_noisy(law, x[0], kernel), observation)
    torch.testing.assert_close(law.denoise(x, kernel)[0] + found.shift[0], posterior.mean, rtol=0, atol=1e-10)
    assert found.log_prob[0].item() == pytest.approx(evidence, abs=1e-9)


@pytest.mark.parametrize("kernel", LEVELS)
@pytest.mark.parametrize("observation", [OneBit(-1, normal(3, seed=6), 0.2), Square(0.7, normal(3, seed=6), 0.2)])
def test_a_scalar_observation_is_exact_for_a_gaussian_prior(observation, kernel):
    """The evidence by the exact posterior's quadrature, the shift by the mean of its draws' law: a fine sum over z."""
    law, x = prior((3,)), normal(2, 3, seed=2)
    found = Scalar(observation)(Moments(ExactDenoiser(law), x, kernel))
    for i in range(len(x)):
        exact = given_noisy(law, x[i], kernel)
        posterior = ScalarPosterior(exact, observation)
        assert found.log_prob[i].item() == pytest.approx(posterior.log_evidence(), abs=1e-6)
        z, logs = posterior._masses()
        carried, means, deviations = posterior._projected()
        wanted = carried[0] * ((logs.softmax(1) * z).sum() - means[0]) / deviations[0] ** 2
        torch.testing.assert_close(found.shift[i], wanted, rtol=0, atol=1e-6)


TWISTS: dict[str, Twist] = {
    "point": Point(PAIR, scale=0.7),
    "point of one bit": Point(OneBit(1, normal(3, seed=6), 0.3)),
    "pseudo-inverse": PseudoInverse(PAIR),
}


@pytest.mark.parametrize("kernel", LEVELS)
@pytest.mark.parametrize("name", TWISTS)
def test_the_shift_is_the_gradient_of_the_twist(name, kernel):
    """(sigma^2/alpha) times central differences of log p(y | x_t), of a mixture: no 1/alpha and no Jacobian is lost."""
    denoiser, x, h = ExactDenoiser(modes()), normal(3, 3, seed=4), 1e-6

    def log_prob(x: Tensor) -> Tensor:
        return TWISTS[name](Moments(denoiser, x, kernel)).log_prob

    slopes = [(log_prob(x + h * e) - log_prob(x - h * e)) / (2 * h) for e in torch.eye(3, dtype=x.dtype)]
    wanted = kernel.sigma**2 / kernel.alpha * torch.stack(slopes, 1)
    torch.testing.assert_close(TWISTS[name](Moments(denoiser, x, kernel)).shift, wanted, rtol=1e-4, atol=1e-6)


def test_a_function_of_a_sample_is_linearised_at_its_mean():
    """A linear function in disguise is the matrix; sin is its tangent."""
    x, kernel, denoiser = normal(2, 3, seed=4), LEVELS[1], ExactDenoiser(modes())
    moments = Moments(denoiser, x, kernel)
    disguised = Function(PAIR.y, lambda v: v @ PAIR.rows.mT, PAIR.std)
    for one, other in zip(MomentMatching(PAIR)(moments), MomentMatching(disguised)(moments), strict=True):
        torch.testing.assert_close(one, other)
    mean = moments.mean[:1]
    tangent = Matrix((0.3 - mean.sin() + mean.cos() * mean)[0], mean.cos()[0].diag(), 0.2)
    curved = MomentMatching(Function(torch.full((3,), 0.3, dtype=x.dtype), torch.sin, 0.2))
    torch.testing.assert_close(curved(moments).shift[0], MomentMatching(tangent)(moments).shift[0])


ALL = {
    "moment matching": MomentMatching(PAIR),
    "pseudo-inverse": PseudoInverse(PAIR),
    "proximal": Proximal(PAIR),
    "point": Point(PAIR),
    "scalar": Scalar(OneBit(1, normal(3, seed=6), 0.3)),
}


@pytest.mark.parametrize("name", ALL)
def test_one_call_and_each_sample_by_itself(name):
    denoiser = CallCounter(ExactDenoiser(modes()))
    x = normal(4, 3, seed=4)
    alphas, sigmas = torch.tensor([0.9, 0.3, 1.0, 0.5]).double(), torch.tensor([0.4, 0.9, 2.0, 0.1]).double()
    together = Guided(denoiser, ALL[name])(x, Kernel(alphas, sigmas))
    assert (denoiser.calls, denoiser.rows) == (1, 4)
    for i in range(4):
        alone = Guided(denoiser, ALL[name])(x[i : i + 1], Kernel(alphas[i].item(), sigmas[i].item()))
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)


def test_a_guided_denoiser_of_some_rows_and_with_a_condition():
    classes = MixtureOfClasses(modes(), [0, 0, 1])
    labelled = Conditioned(ClassDenoiser(classes), label=torch.tensor([0, 1, 1]))
    x, rows = normal(3, 3, seed=4), torch.tensor([2, 0])
    guided = Guided(labelled, MomentMatching(PAIR))
    torch.testing.assert_close(guided.select(rows)(x[rows], LEVELS[1]), guided(x, LEVELS[1])[rows])
    inside = Guided(ClassDenoiser(classes), MomentMatching(PAIR))(x, LEVELS[1], label=torch.tensor([0, 1, 1]))
    torch.testing.assert_close(inside, guided(x, LEVELS[1]))


@pytest.mark.parametrize("kind", [MomentMatching, PseudoInverse, Proximal])
def test_a_twist_of_another_kind_of_observation_is_refused(kind):
    with pytest.raises(TypeError, match="Point"):
        kind(all_kinds()["one bit"][0])
    with pytest.raises(TypeError, match="take MomentMatching"):
        Scalar(Mask(torch.zeros(1), torch.ones(1, dtype=torch.bool), 0.1))
