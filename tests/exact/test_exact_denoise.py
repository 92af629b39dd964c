"""The posterior mean: Tweedie's formula, quadrature, exact arithmetic, the ends, and derivatives."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.exact import Empirical, Gaussian, Mixture, problems
from sde_diffusion.kernel import Kernel
from tests.exact.exact_cases import LEVELS, close, laws, mixture, noisy, normal, points, rng

ALL = {**laws(), "points": points()}


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", ALL)
def test_tweedie(name, level):
    """alpha x0_hat - x_t = sigma^2 score; for alpha << sigma the formula is blind to x0_hat, see the limits below."""
    law, kernel = ALL[name], LEVELS[level]
    x = noisy(law, kernel)
    score = law.through(kernel).score(x)
    step = kernel.alpha * law.denoise(x, kernel) - x
    # Rounding of x enters as eps |x|, while the step itself shrinks as sigma^2.
    assert bool((step - kernel.sigma**2 * score).abs().max() <= 1e-14 * x.abs().max() + 1e-10 * step.abs().max())


@given(
    modes=st.integers(1, 4),
    seed=st.integers(0, 999),
    alpha=st.floats(0.05, 1.0),
    sigma=st.floats(0.05, 3.0),
    per_sample=st.booleans(),
)
def test_posterior_mean_by_quadrature(modes, seed, alpha, sigma, per_sample):
    """The trapezoidal rule on an analytic, decaying integrand converges faster than any power: 1e-8 is far above it."""
    weights, means = normal(modes, seed=seed).softmax(0), normal(modes, 1, seed=seed + 1)
    variances = 0.05 + normal(modes, seed=seed + 2).square()
    law, x = Mixture(weights, means, variances), normal(7, 1, seed=seed + 3) * math.hypot(alpha, sigma)
    wide = torch.linspace(1.0, 0.5, 7, dtype=torch.float64)
    level = Kernel(alpha * wide, sigma * wide) if per_sample else Kernel(alpha, sigma)
    a, s = (torch.as_tensor(c, dtype=torch.float64).reshape(-1, 1) for c in (level.alpha, level.sigma))
    x0 = torch.linspace(-25, 25, 20001, dtype=torch.float64)
    squares = (x0 - means).square() / variances[:, None]
    prior = (weights / variances.sqrt()) @ (-squares / 2).exp()
    exponent = -((x - a * x0) / s).square() / 2
    posterior = prior * (exponent - exponent.amax(-1, keepdim=True)).exp()
    expected = (posterior * x0).sum(-1, keepdim=True) / posterior.sum(-1, keepdim=True)
    assert bool((law.denoise(x, level) - expected).abs().max() < 1e-8)


def test_posterior_mean_by_monte_carlo():
    """Importance weights over 2e5 draws of a full-covariance mixture: five standard errors, 16 numbers (p < 1e-5)."""
    law, kernel = mixture(), Kernel(0.6, 0.8)
    x = noisy(law, kernel, 4)
    x0 = law.sample(200_000, rng(11)).flatten(1)
    for row, found in zip(x.flatten(1), law.denoise(x, kernel).flatten(1), strict=True):
        weights = (-(row - kernel.alpha * x0).square().sum(-1) / (2 * kernel.sigma**2)).softmax(0)
        expected = weights @ x0
        error = (weights.square() @ (x0 - expected).square()).sqrt()
        assert bool(((found - expected).abs() < 5 * error).all())
        assert bool((error < 0.05).all())


@given(gap=st.floats(-9, -3), offset=st.floats(-1, 1), seed=st.integers(0, 999))
def test_points_in_exact_arithmetic(gap, offset, seed):
    """Near-duplicates at the distance of the noise, far from the origin, decided by rational arithmetic.

    The expanded square |y|^2 - 2 y.x + |x|^2 loses everything here at gaps below 1e-7.
    """
    kappa = 10.0**gap
    data = normal(4, 3, seed=seed)
    data[1:] = data[0] + kappa * data[1:]
    x = data[:1] + kappa * offset * normal(1, 3, seed=seed + 1)
    at = [Fraction(c) for c in x[0].tolist()]
    exact = [sum((a - Fraction(b)) ** 2 for a, b in zip(at, point, strict=True)) for point in data.tolist()]
    logs = [float((min(exact) - d) / (2 * Fraction(kappa) ** 2)) for d in exact]
    weights = torch.tensor(logs, dtype=torch.float64).softmax(0)
    shift = Empirical(data).denoise(x, Kernel(1.0, kappa)) - data[0]
    assert bool((shift - weights @ (data - data[0])).abs().max() <= 1e-9 * kappa + 1e-15)


@pytest.mark.parametrize("name", laws())
def test_without_noise_the_observation_is_the_answer(name):
    law = laws()[name]
    x = law.sample(8, rng())
    assert close(law.denoise(0.5 * x, Kernel(0.5, 0.0)), x, 1e-13)
    assert close(law.denoise(0.5 * x, Kernel(0.5, 1e-9)), x, 1e-12)


@pytest.mark.parametrize("sigma", [0.0, 1e-200, 1e-9, 1e-3])
def test_without_noise_points_answer_with_the_nearest(sigma):
    law = problems.digits_empirical()
    x0 = law.sample(32, rng())
    x = x0 + 0.05 * torch.randn(x0.shape, generator=rng(1), dtype=x0.dtype)
    distances = (x.flatten(1)[:, None] - law.points).square().sum(-1)
    assert torch.equal(law.nearest(x), distances.argmin(-1))
    assert torch.equal(law.points[law.nearest(x)].reshape(x.shape), x0)
    assert torch.equal(law.denoise(0.3 * x, Kernel(0.3, sigma)), x0)


def test_points_at_one_distance_share():
    law = Empirical([[0.0, 0.0], [2.0, 0.0], [9.0, 9.0]])
    x = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert torch.equal(law.denoise(x, Kernel(1.0, 0.0)), x)


@pytest.mark.parametrize("name", ALL)
def test_without_signal_the_mean_is_the_answer(name):
    """E[x_0 | x_t] = mean + alpha Cov x_t / sigma^2 + O(alpha^2): the value and the slope at alpha = 0."""
    law = ALL[name]
    x = noisy(law, Kernel(0.0, 2.0), 8)
    mean = law.mean.expand(x.shape)
    assert torch.allclose(law.denoise(x, Kernel(0.0, 2.0)), mean, rtol=1e-12, atol=1e-13)
    alpha = 1e-6
    slope = (law.denoise(x, Kernel(alpha, 2.0)) - mean) / alpha
    expected = (x.reshape(8, -1) @ law.covariance / 4).reshape(x.shape)
    assert close(slope, expected, 1e-4)


@pytest.mark.parametrize("name", ALL)
def test_levels_per_sample_are_a_loop_over_samples(name):
    law = ALL[name]
    levels = list(LEVELS.values())
    x = torch.cat([noisy(law, level, 1, seed) for seed, level in enumerate(levels)])
    kernel = Kernel(*(torch.tensor([getattr(k, c) for k in levels], dtype=torch.float64) for c in ("alpha", "sigma")))
    loop = torch.cat([law.denoise(row[None], level) for row, level in zip(x, levels, strict=True)])
    assert close(law.denoise(x, kernel), loop, 1e-12)
    scalar = Kernel(*(torch.tensor(c, dtype=torch.float64) for c in (0.8, 0.6)))
    assert close(law.denoise(x, scalar), law.denoise(x, Kernel(0.8, 0.6)), 1e-15)


@pytest.mark.parametrize("name", ["mixture", "points"])
@pytest.mark.parametrize("entries", [1, 100])
def test_blocks_do_not_show(name, entries, monkeypatch):
    law, kernel = ALL[name], Kernel(torch.linspace(0.9, 0.1, 50).double(), torch.linspace(0.0, 1.0, 50).double() + 0.1)
    x = noisy(law, kernel, 50)
    level = Kernel(0.8, 0.6)

    def answers():
        behind = law.through(level)
        return law.denoise(x, kernel), law.denoise(x, level), behind.score(x), behind.log_prob(x)

    whole = answers()
    monkeypatch.setattr("sde_diffusion.exact.blocks.CPU_ENTRIES", entries)
    assert all(close(cut, one, 1e-13) for cut, one in zip(answers(), whole, strict=True))


@pytest.mark.parametrize("name", ALL)
def test_jacobian_is_the_posterior_covariance_in_both_modes(name):
    """d x0_hat / d x_t = (alpha / sigma^2) Cov[x_0 | x_t]: symmetric, positive, by reverse and by forward mode."""
    law, kernel = ALL[name], Kernel(0.6, 0.8)
    x = noisy(law, kernel, 1)

    def denoise(row):
        return law.denoise(row.reshape(x.shape), kernel).reshape(-1)

    backward, forward = (mode(denoise)(x.reshape(-1)) for mode in (torch.func.jacrev, torch.func.jacfwd))
    assert close(forward, backward, 1e-12)
    assert close(forward.mT, forward, 1e-11)
    assert bool((torch.linalg.eigvalsh(forward) > 0).all())
    if name == "points":
        weights = (-(x.flatten(1) - 0.6 * law.points).square().sum(-1) / (2 * 0.64)).softmax(0)
        offsets = law.points - weights @ law.points
        assert close(forward, 0.6 / 0.64 * (weights * offsets.mT) @ offsets, 1e-12)


def test_a_singular_gaussian_is_denoised_onto_its_support():
    axis = torch.tensor([[0.6], [0.8]], dtype=torch.float64)
    law, x = Gaussian([1.0, 2.0], axis @ axis.mT), normal(6, 2)
    for kernel in (Kernel(0.7, 0.0), Kernel(0.7, 1e-8), Kernel(0.7, 0.5)):
        share = 0.7 / (0.49 + kernel.sigma**2)
        expected = law.mean + share * (x - 0.7 * law.mean) @ axis @ axis.mT
        assert close(law.denoise(x, kernel), expected, 1e-7)


@pytest.mark.parametrize("name", ["two", "ring8", "mixture64", "digits_empirical"])
@pytest.mark.parametrize("level", [*LEVELS, "explicit"])
def test_float32(name, level):
    """In float32 a posterior mean is off by less than 5e-5 in units of the data, a log-density by less than 1e-4."""
    law, kernel = getattr(problems, name)(), LEVELS.get(level, Kernel(1.0, 1e-3))
    single = law.to(torch.float32)
    x = noisy(law, kernel, 64).float()
    x0 = single.denoise(x, kernel)
    assert x0.dtype == torch.float32
    assert bool((x0 - law.denoise(x.double(), kernel)).abs().max() < 5e-5)
    assert law.denoise(x, kernel).dtype == torch.float32
    if kernel.sigma >= 1e-3:
        error = single.through(kernel).log_prob(x) - law.through(kernel).log_prob(x.double())
        assert bool(error.abs().max() < 1e-4)


@pytest.mark.parametrize("name", ALL)
def test_far_away_answers_stay_finite(name):
    """At a distance of 1e100 every mode is improbable beyond underflow; the posterior is still a distribution."""
    law = ALL[name]
    x = torch.full((1, *law.event_shape), 1e100, dtype=torch.float64)
    assert bool(law.denoise(x, Kernel(1.0, 1e-3)).isfinite().all())
