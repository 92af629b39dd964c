"""The bound as a loss: its value is the bound's, whatever the schedule; schedules and draws that lower its variance."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.exact.problems import two
from sde_diffusion.likelihood import Chain, continuous_bound, elbo
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import (
    ContinuousBound,
    DenoisingScoreMatching,
    Dequantised,
    DiscreteBound,
    Hybrid,
    LearnedSchedule,
    LearnedVariance,
    antithetic,
    comb,
    fit_schedule,
    independent,
    linear_schedule,
    stratified,
)
from sde_diffusion.objectives.level_schedule import ends
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def uneven() -> LearnedSchedule:
    schedule = LearnedSchedule(8)
    with torch.no_grad():
        schedule.logits.copy_(torch.randn(8, generator=rng(1), dtype=torch.float64))
    return schedule.requires_grad_(False)


LAW = Gaussian([0.6], [[0.5]])


def exact_integral(sde) -> float:
    """The integral of e^l Var[x_0 | x_t]/2 over l: log((1 + v e^l)) / 2 between the ends."""
    high, low = ends(sde)
    return 0.5 * (math.log1p(0.5 * math.exp(high)) - math.log1p(0.5 * math.exp(low)))


@pytest.mark.parametrize("schedule", [linear_schedule, uneven()], ids=["linear", "uneven"])
@pytest.mark.parametrize("draw", [independent, stratified, comb, antithetic])
def test_the_continuous_loss_is_the_integral_under_any_schedule(schedule, draw):
    """Of an exact Gaussian denoiser, in closed form, within 4 standard errors (of independent draws)."""
    sde, x0 = VP(), LAW.sample(40_000, rng(2))
    loss = ContinuousBound(schedule, draw)(ExactDenoiser(LAW), sde, x0, rng(3))
    error = loss.std().item() / math.sqrt(len(loss))
    assert error < 0.03 * exact_integral(sde)
    assert abs(loss.mean().item() - exact_integral(sde)) < 4 * error


def test_the_discrete_loss_is_the_chains_and_tends_to_the_continuous_one():
    sde, x0 = VP(), LAW.sample(20_000, rng(4))
    for steps in (4, 200):
        loss = DiscreteBound(steps)(ExactDenoiser(LAW), sde, x0, rng(5))
        term = -elbo(Chain(sde, ExactDenoiser(LAW), steps), x0[:2000], 4, rng(6)).terms["diffusion"]
        error = math.hypot(loss.std().item() / math.sqrt(len(loss)), term.std().item() / math.sqrt(len(term)))
        assert abs(loss.mean().item() - term.mean().item()) < 4 * error
        assert error < 0.05 * term.mean().item()
    assert loss.mean().item() == pytest.approx(exact_integral(sde), rel=0.08)


def test_a_schedule_is_monotone_and_knows_its_slope():
    sde, schedule = VP(), uneven()
    u = torch.linspace(0, 1, 2001, dtype=torch.float64)[:-1]
    log_snr, slope = schedule(sde, u)
    high, low = ends(sde)
    assert log_snr[0].item() == pytest.approx(high)
    assert schedule(sde, torch.tensor([1 - 1e-12]).double())[0].item() == pytest.approx(low, abs=1e-6)
    assert (log_snr.diff() < 0).all()
    numeric = -log_snr.diff() / u.diff()
    inside = (slope[1:] - slope[:-1]).abs() < 1e-9
    torch.testing.assert_close(numeric[inside], slope[:-1][inside], rtol=1e-6, atol=0)
    torch.testing.assert_close(schedule.log_density(sde, log_snr[inside.nonzero()[:, 0]]), -slope[:-1][inside].log())


def test_learning_lowers_the_variance_and_keeps_the_mean():
    """On the mixture `two`: under 0.6 of the linear schedule's variance, the same mean; the loss-aware one alike."""
    law, sde = two(), VP()
    denoiser, x0 = ExactDenoiser(law), law.sample(20_000, rng(7))
    learned = fit_schedule(LearnedSchedule(16), denoiser, sde, law.sample(4000, rng(8)), 100, generator=rng(9))
    log_snr, _ = linear_schedule(sde, stratified(x0, rng(10)))
    with torch.no_grad():
        losses = ContinuousBound(linear_schedule, lambda x, g: (ends(sde)[0] - log_snr) / (ends(sde)[0] - ends(sde)[1]))
        f = losses(denoiser, sde, x0, rng(11)).double()
    bins = ((ends(sde)[0] - log_snr) / (ends(sde)[0] - ends(sde)[1]) * 16).long()
    moments = torch.stack([f[bins == k].square().mean() for k in range(16)])
    aware = LearnedSchedule.for_losses(moments + 1e-6 * moments.max())
    plain = ContinuousBound(linear_schedule, independent)(denoiser, sde, x0, rng(12))
    for schedule in (learned, aware):
        loss = ContinuousBound(schedule, independent)(denoiser, sde, x0, rng(12))
        assert loss.var() < 0.6 * plain.var()
        assert abs(loss.mean() - plain.mean()) < 4 * math.sqrt((loss.var() + plain.var()) / len(x0))


@pytest.mark.parametrize("draw", [independent, stratified, comb, antithetic])
@pytest.mark.parametrize("count", [1, 5])
def test_every_place_is_uniform(draw, count):
    """4000 batches: mean and second moment of each place within 5 standard errors."""
    generator, zeros = rng(13), torch.zeros(count, 1)
    u = torch.stack([draw(zeros, generator) for _ in range(4000)])
    assert u.dtype == torch.float64
    assert u.min() >= 0
    assert u.max() < 1
    for power, mean, variance in ((1, 1 / 2, 1 / 12), (2, 1 / 3, 4 / 45)):
        error = math.sqrt(variance / len(u))
        torch.testing.assert_close(u.pow(power).mean(0), torch.full((count,), mean).double(), rtol=0, atol=5 * error)


def test_even_draws_lower_the_variance_of_a_batch():
    zeros, generator = torch.zeros(16, 1), rng(14)
    spread = {}
    for draw in (independent, stratified, comb, antithetic):
        means = torch.stack([draw(zeros, generator).square().mean() for _ in range(2000)])
        spread[draw.__name__] = means.var().item()
    assert max(spread[name] for name in ("stratified", "comb", "antithetic")) < spread["independent"] / 10
    odd = torch.stack([antithetic(zeros, generator).mean() for _ in range(100)])
    torch.testing.assert_close(odd, torch.full((100,), 0.5).double())


class Shares(nn.Module):
    """A constant logit for the share w."""

    def __init__(self, logit: float):
        super().__init__()
        self.logit = nn.Parameter(torch.tensor(logit, dtype=torch.float64))

    def forward(self, z, level):
        return self.logit.expand(z.shape)


def test_learned_variances_find_the_step_that_bounds_best():
    """A Gaussian law, exact mean, one share for all: the gradient of the hybrid loss vanishes where the chain's ELBO is best."""
    sde, law = VP(), LAW
    x0 = law.sample(30_000, rng(15))
    exact = ExactDenoiser(law)
    exact.parameterization = EDMPreconditioning(1.0)  # what encodes the input of the shares

    def bound(logit: float) -> float:
        model = LearnedVariance(exact, Shares(logit))
        chain = Chain(sde, model, 20, log_excess=model.log_excess)
        return elbo(chain, x0[:4000], 2, rng(16)).value.mean().item()

    def slope(logit: float) -> float:
        model = LearnedVariance(exact, Shares(logit))
        Hybrid(20, 1.0)(model, sde, x0, rng(17)).mean().backward()
        return model.spread.logit.grad.item()

    logits = [-4.0, -2.0, -1.0, 0.0, 1.0, 3.0]
    best = max(logits, key=bound)
    assert slope(best - 2.0) < 0 < slope(best + 2.0)


def test_the_variances_send_no_gradient_to_the_mean():
    torch.manual_seed(0)
    model = LearnedVariance(Preconditioned(TimeMLP(1, 8, 1), EDMPreconditioning(0.7)).double(), Shares(0.3))
    x0, sde = LAW.sample(64, rng(18)), VP()
    grads = []
    for weight in (0.0, 5.0):
        model.zero_grad()
        Hybrid(10, weight)(model, sde, x0, rng(19)).mean().backward()
        grads.append([p.grad.clone() for p in model.mean.parameters() if p.grad is not None])
    for a, b in zip(*grads, strict=True):
        assert torch.equal(a, b)
    with pytest.raises(TypeError, match="LearnedVariance"):
        Hybrid()(ExactDenoiser(LAW), sde, x0)


def test_dequantised_data_fill_their_bins():
    """The inner loss sees x + width (u - 1/2): mean, width and spread of what arrives."""
    seen = []

    def spy(denoiser, sde, x0, generator):
        seen.append(x0)
        return x0[:, 0]

    x0 = torch.full((20_000, 1), 0.25, dtype=torch.float64)
    Dequantised(spy, 0.5)(None, None, x0, rng(20))
    assert seen[0].min() >= 0.0
    assert seen[0].max() <= 0.5
    assert seen[0].mean().item() == pytest.approx(0.25, abs=5 * 0.5 / math.sqrt(12 * 20_000))
    assert seen[0].var().item() == pytest.approx(0.25 / 12, rel=0.05)


def test_the_loss_and_the_bound_agree():
    """Minus the loss, the prior and the reconstruction make the continuous bound."""
    sde, x0 = VP(), LAW.sample(4000, rng(21))
    found = continuous_bound(Chain(sde, ExactDenoiser(LAW)), x0, 8, 2, generator=rng(22))
    loss = ContinuousBound()(ExactDenoiser(LAW), sde, x0, rng(23))
    error = math.hypot(loss.std().item(), found.terms["diffusion"].std().item()) / math.sqrt(4000)
    assert abs(found.terms["diffusion"].mean().item() + loss.mean().item()) < 4 * error


def test_a_denoising_loss_takes_its_draws_from_the_caller():
    sde, x0 = VP(), LAW.sample(6, rng(24))
    one = DenoisingScoreMatching(draw=lambda x, g: torch.full((len(x),), 0.5).double())
    noise = torch.randn(x0.shape, generator=rng(25), dtype=x0.dtype)
    t = torch.full((6,), sde.t_min + 0.5 * (sde.horizon - sde.t_min), dtype=torch.float64)
    expected = one.at(ExactDenoiser(LAW), sde, x0, noise, t)
    torch.testing.assert_close(one(ExactDenoiser(LAW), sde, x0, rng(25)), expected)
