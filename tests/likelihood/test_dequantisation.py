"""Bits per dimension: exact probabilities of bins of a known density, and the numbers a LogProb reports."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.likelihood import LogProb, Uniform, Variational, fit_dequantisation, log_likelihood, quantised
from sde_diffusion.sde import VP
from tests.likelihood.laws import end, rng

WIDTH = 0.5
LAW = Gaussian.isotropic(0.1, 0.3, (2,))


def known(y) -> LogProb:
    """The exact log-density, as a likelihood without errors."""
    return LogProb(LAW.log_prob(y), 2, {"solver": torch.zeros(len(y), dtype=y.dtype)})


def bins(n: int) -> torch.Tensor:
    return (LAW.sample(n, rng(1)) / WIDTH).round() * WIDTH


def probability(x: torch.Tensor) -> torch.Tensor:
    """log P of the bins around x (B, 2), exactly."""
    normal = torch.distributions.Normal(0.1, 0.3)
    return (normal.cdf(x + WIDTH / 2) - normal.cdf(x - WIDTH / 2)).log().sum(1)


def jensen(x: torch.Tensor) -> torch.Tensor:
    """E[log p(y)] + 2 log w for y uniform on the bin, in closed form."""
    square = (x - 0.1).square() + WIDTH**2 / 12
    return (-0.5 * square / 0.09 - math.log(0.3 * math.sqrt(2 * math.pi)) + math.log(WIDTH)).sum(1)


def test_uniform_noise_gives_the_bound_of_jensen():
    """The mean over 400 draws of each of 60 bins within its errors of the closed form, which is below log P."""
    x = bins(60)
    found = quantised(known, x, Uniform(WIDTH), 400, rng(2))
    z = (found.value - jensen(x)) / found.errors["dequantisation"]
    assert z.square().mean().sqrt() == pytest.approx(1.0, abs=0.35)
    assert (jensen(x) < probability(x)).all()
    low, high = found.interval()
    assert ((low < jensen(x)) & (jensen(x) < high)).double().mean() > 0.85


def test_a_learned_law_of_the_bin_lies_between():
    """Trained on the law itself: above the uniform bound by half of what it lacks at least, below log P."""
    x, sde = bins(400), VP()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        rule = Variational(WIDTH, 2, 32).double()
    fit_dequantisation(rule, ExactDenoiser(LAW), sde, x, 500, 256, 1e-2, rng(3))
    learned = quantised(known, x, rule, 64, rng(4))
    mean, error = learned.value.mean().item(), learned.standard_error.square().sum().sqrt().item() / len(x)
    exact, uniform = probability(x).mean().item(), jensen(x).mean().item()
    assert mean < exact + 3 * error
    assert mean > (exact + uniform) / 2


def test_a_law_of_the_bin_is_a_density():
    """The learned law integrates to one: E_q[1/q] is the area of the bin."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        rule = Variational(WIDTH, 1, 8).double()
        torch.nn.init.normal_(rule.network[2].weight, std=0.3)
    x = torch.zeros(40_000, 1, dtype=torch.float64)
    with torch.no_grad():
        y, log_q = rule(x, rng(5))
    assert (y.abs() <= WIDTH / 2).all()
    histogram = torch.histc(y, 10, -WIDTH / 2, WIDTH / 2) / len(x)
    cell = ((y[:, 0] / WIDTH + 0.5) * 10).long().clamp(0, 9)
    within = torch.zeros(10).double().index_add_(0, cell, torch.exp(-log_q)) / len(x)
    torch.testing.assert_close(within[2:8], torch.full((6,), WIDTH / 10).double(), rtol=0.05, atol=0)
    assert histogram.sum() == 1


def test_the_errors_add_up_for_a_flow():
    """Through the solver too: dequantisation, probes and tolerance, and a value within them of the closed form."""
    x, sde = bins(30), VP()

    def flow(y):
        found = log_likelihood(sde, ExactDenoiser(LAW), y, 1e-3, prior=end(LAW, sde))
        return found.without("prior", "truncation")

    found = quantised(flow, x, Uniform(WIDTH), 32, rng(6))
    assert set(found.errors) == {"dequantisation", "probes", "tolerance"}
    z = (found.value - jensen(x)) / found.standard_error
    assert z.square().mean().sqrt() == pytest.approx(1.0, abs=0.5)
    torch.testing.assert_close(found.standard_error, torch.stack(list(found.errors.values())).square().sum(0).sqrt())


def test_bits_per_dimension():
    """64 fair coins a row cost one bit each, by any base: log p = -64 log 2."""
    found = LogProb(torch.full((5,), -64 * math.log(2)), 64, {"none": torch.zeros(5)})
    assert found.bits_per_dim() == pytest.approx((1.0, 0.0), abs=1e-6)


@pytest.mark.parametrize("freedom", [3.0, 10.0, 1e9])
def test_the_interval_is_students(freedom):
    """Means of freedom + 1 normal numbers: the interval covers 90% of the time (of a normal law at the end)."""
    n, count = 20_000, int(min(freedom, 40)) + 1
    draws = torch.randn(n, count, generator=rng(7), dtype=torch.float64)
    error = draws.std(1) / math.sqrt(count) if freedom < 1e6 else torch.full((n,), 1 / math.sqrt(count)).double()
    found = LogProb(draws.mean(1), 1, {"draws": error}, freedom=torch.full((n,), freedom).double())
    low, high = found.interval(0.9)
    assert ((low < 0) & (high > 0)).double().mean().item() == pytest.approx(0.9, abs=0.01)


def test_what_is_no_bin_is_refused():
    with pytest.raises(ValueError, match="positive distance"):
        Uniform(0.0)
    with pytest.raises(ValueError, match="at least 2 draws"):
        quantised(known, bins(3), Uniform(WIDTH), 1)
    with pytest.raises(ValueError, match="level lies in"):
        known(bins(3)).interval(1.0)
