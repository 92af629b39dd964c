"""Bounds of the chain: below the exact log-density, in order, meeting it as the steps grow, with honest errors."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.exact.problems import two
from sde_diffusion.kernel import Kernel
from sde_diffusion.likelihood import Chain, Levels, elbo, forward_variance, importance_weighted
from sde_diffusion.likelihood.continuous import continuous_bound
from sde_diffusion.objectives import LearnedSchedule, fit_schedule
from sde_diffusion.sde import EDM, VP
from tests.likelihood.laws import end, rng

LAW = two()
X = LAW.sample(200, rng(1))
EXACT = LAW.log_prob(X)


def chain(sde, steps: int, **options) -> Chain:
    return Chain(sde, ExactDenoiser(LAW), steps, prior=end(LAW, sde), **options)


def gap(found) -> tuple[float, float]:
    """(mean of the bound less the exact log-density, its standard error), in nats."""
    error = found.standard_error.square().sum().sqrt().item() / len(EXACT)
    return (found.value - EXACT).mean().item(), error


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=lambda s: type(s).__name__)
def test_the_discrete_bound_meets_the_exact_density_as_the_steps_grow(sde):
    """The gap closes as 1/T: eightfold the steps, about an eighth of it; at 512 steps the bound is tight."""
    (coarse, e1), (fine, e2) = (gap(elbo(chain(sde, steps), X, 16, rng(2))) for steps in (16, 128))
    assert coarse < -20 * e1
    assert fine < 3 * e2
    assert 6 < coarse / fine < 16
    last, error = gap(elbo(chain(sde, 512), X, 8, rng(3)))
    assert -0.5 < last < 3 * error


def test_the_bounds_stand_in_order():
    """ELBO <= IWAE(4) <= IWAE(16) <= IWAE(64) <= log p, each resolved, with one chain of 32 steps."""
    one = chain(VP(), 32)
    found = [gap(elbo(one, X, 16, rng(4)))] + [gap(importance_weighted(one, X, k, rng(5))) for k in (4, 16, 64)]
    for (low, e1), (high, e2) in zip(found, found[1:], strict=False):
        assert high - low > 2 * math.hypot(e1, e2)
    assert found[-1][0] < 3 * found[-1][1]


def test_a_chain_with_the_exact_transitions_is_exact_path_by_path():
    """A point mass behind the posterior's own variance: every weight is the prior's times the reconstruction's."""
    law = Gaussian.isotropic(0.5, 0.0, (3,))
    sde, x = VP(), torch.full((4, 3), 0.5, dtype=torch.float64)
    one = Chain(sde, ExactDenoiser(law), 7, prior=end(law, sde))
    found = importance_weighted(one, x, 5, rng(6))
    kappa = math.exp(-0.5 * float(sde.log_snr(sde.t_min)))
    expected = -1.5 * math.log(2 * math.pi * kappa**2)
    torch.testing.assert_close(found.value, torch.full_like(found.value, expected))
    torch.testing.assert_close(elbo(one, x, 2, rng(7)).value, torch.full_like(found.value, expected))
    assert found.errors["paths"].max() < 1e-9
    torch.testing.assert_close(found.terms["effective"], torch.full_like(found.value, 5.0))


def test_the_mean_weight_is_the_chains_likelihood():
    """A linear Gaussian chain of 8 steps: p(x_0) by composing its own Gaussians, against 20000 weights of one point."""
    law = Gaussian([0.2], [[0.6]])
    sde, x = VP(), torch.tensor([[0.7]], dtype=torch.float64)
    for rule in (None, forward_variance):
        one = Chain(sde, ExactDenoiser(law), 8, **({} if rule is None else {"log_excess": rule}))
        found = importance_weighted(one, x, 20_000, rng(8))
        expected = composed(one, law, x.item(), excess=rule is not None)
        assert abs(found.value.item() - expected) < 4 * found.standard_error.item() < 0.2


def composed(one: Chain, law: Gaussian, x: float, excess: bool) -> float:
    """log p(x) of the chain: mean and variance carried down through its affine steps."""
    sde, times = one.sde, one.times()
    mean, variance = 0.0, one.sde.prior().std ** 2

    def denoise(t: float) -> tuple[float, float]:
        k = sde.kernel(t)
        slope = k.alpha * 0.6 / (k.alpha**2 * 0.6 + k.sigma**2)
        return slope, 0.2 - slope * k.alpha * 0.2

    for t, s in zip(times, times[1:], strict=False):
        slope, shift = denoise(t)
        zero, unit = torch.zeros(1, 1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.float64)
        on_x0, std = sde.posterior(zero, unit, t, s)
        on_x = sde.posterior(unit, zero, t, s)[0]
        a, b = on_x.item() + on_x0.item() * slope, on_x0.item() * shift
        extra = (sde.sigma(t) / sde.sigma(s)) ** 2 if excess else 1.0
        mean, variance = a * mean + b, a**2 * variance + float(std) ** 2 * extra
    slope, shift = denoise(sde.t_min)
    kappa = math.exp(-0.5 * float(sde.log_snr(sde.t_min)))
    mean, variance = slope * mean + shift, slope**2 * variance + kappa**2
    return -0.5 * ((x - mean) ** 2 / variance + math.log(2 * math.pi * variance))


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=lambda s: type(s).__name__)
def test_the_continuous_bound_is_tight_under_any_schedule(sde):
    """Within 4 standard errors of the exact mean by the linear and by a learned schedule; the errors cover."""
    schedule = fit_schedule(
        LearnedSchedule(16), ExactDenoiser(LAW), sde, LAW.sample(2000, rng(9)), 80, generator=rng(10)
    )
    linear = continuous_bound(chain(sde, 1), X, 32, 8, generator=rng(11))
    learned = continuous_bound(chain(sde, 1), X, 32, 8, schedule, generator=rng(11))
    for found in (linear, learned):
        mean, error = gap(found)
        assert abs(mean) < 4 * error < 0.3
    low, high = learned.interval(0.95)
    assert ((low < EXACT) & (high > EXACT)).double().mean() > 0.85
    assert gap(learned)[1] < gap(linear)[1]


def test_the_terms_add_up():
    for found in (
        elbo(chain(VP(), 16), X[:5], 3, rng(12)),
        continuous_bound(chain(VP(), 1), X[:5], 4, 2, generator=rng(12)),
    ):
        assert set(found.terms) == {"prior", "diffusion", "reconstruction"}
        torch.testing.assert_close(found.value, sum(found.terms.values()))


@pytest.mark.parametrize(("levels", "low", "high"), [(17, -1.0, 1.0), (4, 0.0, 3.0), (2, -5.0, 5.0)])
def test_levels_are_told_apart_by_bayes(levels, low, high):
    """The probabilities of all levels of a coordinate add up to 1, and are the posterior's under equal shares."""
    values = torch.linspace(low, high, levels, dtype=torch.float64)
    kernel, rule = Kernel(0.9, 0.3), Levels(levels, low, high)
    x_t = torch.full((levels, 1), 0.4, dtype=torch.float64)
    found = rule(values[:, None], x_t, x_t, kernel)
    joint = torch.distributions.Normal(0.9 * values, 0.3).log_prob(torch.tensor(0.4).double())
    torch.testing.assert_close(found, joint.log_softmax(0))


def test_what_has_no_error_bar_is_refused():
    with pytest.raises(ValueError, match="at least 2 paths"):
        elbo(chain(VP(), 4), X, 1)
    with pytest.raises(ValueError, match="draws >= 2"):
        continuous_bound(chain(VP(), 4), X, 4, 1)
    with pytest.raises(ValueError, match="levels are at least 2"):
        Levels(1)
