"""Score matching without kernels: the exact score of a mixture is its minimum, with the excess that theory gives."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sde_diffusion.exact import ExactDenoiser, Gaussian, Mixture
from sde_diffusion.kernel import Kernel
from sde_diffusion.metrics import energy_distance
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import (
    EnergyDenoiser,
    ImplicitScoreMatching,
    LocalDenoising,
    Simulated,
    SlicedScoreMatching,
    along_the_slice,
    through_kernel,
)
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import reverse_sde
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import SDE, VP
from solvers import FixedGrid, StochasticHeun

LAW = Mixture([0.4, 0.6], [[-0.8, 0.2], [0.7, -0.3]], [0.09, 0.16])
T = 0.3


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Known(SDE):
    """Unit diffusion, no kernel: the model is the score itself."""

    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return -x

    def diffusion(self, t):
        return 1.0


class Affine(nn.Module):
    """a s(x) + b x + c with s the exact score: the minimum is (1, 0, 0)."""

    def __init__(self, law, a=1.0, b=0.0, c=0.0):
        super().__init__()
        self.law, self.weights = law, nn.Parameter(torch.tensor([a, b, c], dtype=torch.float64))

    def forward(self, x, t):
        return self.weights[0] * self.law.score(x) + self.weights[1] * x + self.weights[2]


def rows(n: int, seed: int):
    """n states of the law and as many normal directions, side by side, (n, 4)."""
    return torch.cat((LAW.sample(n, rng(seed)), torch.randn(n, 2, generator=rng(seed + 100), dtype=torch.float64)), 1)


def loss_of(kind: str, model, points):
    """The losses of `rows` (B,)."""
    x, v = points[:, :2], points[:, 2:]
    t = torch.full((len(x),), T, dtype=torch.float64)
    if kind == "implicit":
        return ImplicitScoreMatching().at(model, Known(), x, t)
    objective = SlicedScoreMatching(square=along_the_slice) if kind == "plain" else SlicedScoreMatching()
    return objective.at(model, Known(), x, v, t)


KINDS = ["implicit", "plain", "reduced"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_exact_score_is_the_minimum(kind):
    """Quadratic in three weights: the minimiser over 100000 points by one Newton step, within 5 of its own deviations."""
    points = rows(100_000, 1)
    model = Affine(LAW, 0.7, 0.2, -0.1)

    def mean(weights, part):
        model_ = lambda x, t: weights[0] * LAW.score(x) + weights[1] * x + weights[2]  # noqa: E731
        return loss_of(kind, model_, part).mean()

    def minimiser(part):
        start = model.weights.detach()
        gradient = torch.func.grad(mean)(start, part)
        hessian = torch.func.jacfwd(torch.func.grad(mean))(start, part)
        return start - torch.linalg.solve(hessian, gradient)

    found = torch.stack([minimiser(part) for part in points.split(5000)])
    error = found.std(0) / math.sqrt(len(found))
    assert error.max() < 0.03, "too few points to see a bias"
    assert ((found.mean(0) - torch.tensor([1.0, 0.0, 0.0]).double()).abs() < 5 * error).all()


@pytest.mark.parametrize("kind", KINDS)
def test_the_excess_is_fishers_divergence(kind):
    """Paired over 200000 points: the loss of another score less that of the exact one is E|difference|^2/2 over d."""
    points = rows(200_000, 3)
    other = Affine(LAW, 0.9, -0.2, 0.1)
    excess = (loss_of(kind, other, points) - loss_of(kind, Affine(LAW), points)).detach()
    x = points[:, :2]
    t = torch.zeros(1)
    expected = 0.5 * (other(x, t) - LAW.score(x)).square().sum(1).mean().item() / 2
    error = excess.std().item() / math.sqrt(len(x))
    assert error < 0.2 * expected
    assert abs(excess.mean().item() - expected) < 4 * error


def test_a_linear_process_uses_its_denoiser():
    """The whole objective with an exact denoiser: -E[g^2 |score|^2]/2 over d, by an independent sample of times and states."""
    sde, law = VP(t_min=0.05), Gaussian([0.3, -0.2], [[0.5, 0.1], [0.1, 0.3]])
    x0 = law.sample(20_000, rng(5))
    with torch.no_grad():
        losses = {
            k: o(ExactDenoiser(law), sde, x0, rng(6))
            for k, o in (("i", ImplicitScoreMatching()), ("s", SlicedScoreMatching()))
        }
    t = torch.linspace(0.05, 1, 4001, dtype=torch.float64)
    g2 = sde.beta(t)
    information = torch.stack([(1 / (sde.alpha(s) ** 2 * law.spectrum + sde.sigma(s) ** 2)).sum() for s in t])
    exact = -0.5 * torch.trapezoid(g2 * information, t).item() / 0.95 / 2
    for loss in losses.values():
        error = loss.std().item() / math.sqrt(len(loss))
        assert error < 0.05 * abs(exact)
        assert abs(loss.mean().item() - exact) < 4 * error


def test_the_local_step_has_its_minimum_at_the_score():
    """An Ornstein-Uhlenbeck process: the gradient at the exact score of the scheme vanishes within 4 errors, and not beside it."""
    sde, variance = Known(), 0.4
    objective = LocalDenoising(0.1, Simulated(20), times=lambda sde, u: 0.5 + 0 * u)
    x0 = math.sqrt(variance) * torch.randn(60_000, 1, generator=rng(7), dtype=torch.float64)
    h1, h = 0.45 / 20, 0.05
    for _ in range(20):
        variance = (1 - h1) ** 2 * variance + h1
    variance = (1 - h) ** 2 * variance + h

    def slope_of(scale):
        losses = objective(lambda x, t: -scale * x / variance, sde, x0, rng(8))
        return losses.mean(), losses.std() / math.sqrt(len(losses))

    step = 0.2
    (low, _), (middle, _), (high, _) = slope_of(1 - step), slope_of(1.0), slope_of(1 + step)
    curvature = (low - 2 * middle + high) / step**2
    assert curvature.item() == pytest.approx(2 * h / variance, rel=0.05)
    best = 1 - (high - low) / (2 * step) / curvature
    assert best.item() == pytest.approx(1.0, abs=0.15)


def test_simulated_states_have_the_law_of_the_kernel():
    sde, law = VP(beta_max=5.0), Gaussian([0.5], [[0.2]])
    x0 = law.sample(40_000, rng(9))
    t = torch.full((40_000,), 0.7, dtype=torch.float64)
    far, exact = Simulated(200)(sde, x0, t, rng(10)), law.through(sde.kernel(0.7))
    assert far.mean().item() == pytest.approx(exact.mean.item(), abs=0.02)
    assert far.var().item() == pytest.approx(exact.variance.item(), rel=0.04)
    near = through_kernel(sde, x0, t, rng(11))
    assert near.var().item() == pytest.approx(exact.variance.item(), rel=0.03)


def test_a_path_stops_at_each_samples_own_time():
    x0 = torch.ones(2, 1, dtype=torch.float64).expand(2, 20_000).clone()
    end = Simulated(50)(Known(), x0, torch.tensor([0.0, 1.0]).double(), rng(12))
    assert torch.equal(end[0], x0[0])
    assert end[1].mean().item() == pytest.approx(math.exp(-1), abs=0.03)


def test_an_energys_score_is_its_gradient_and_has_no_curl():
    torch.manual_seed(0)
    net = TimeMLP(3, width=16, depth=1).double()
    nn.init.normal_(net.leave[2].weight, std=0.5)
    model, kernel = EnergyDenoiser(net, EDMPreconditioning(1.0)), Kernel(0.8, 0.6)
    x = torch.randn(1, 3, generator=rng(13), dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda z: kernel.score(z[None], model(z[None], kernel))[0])(x[0])
    torch.testing.assert_close(jacobian, jacobian.mT)
    h = 1e-6
    for i in range(3):
        step = h * torch.eye(3, dtype=torch.float64)[i]
        slope = (model.energy(x + step, kernel) - model.energy(x - step, kernel)) / (2 * h)
        assert kernel.score(x, model(x, kernel))[0, i].item() == pytest.approx(-slope.item(), rel=1e-5)


class DoubleWell(SDE):
    """A nonlinear drift with no kernel: dx = (x - x^3) dt + dW."""

    horizon, t_min = 2.0, 0.0

    def drift(self, x, t):
        return x - x**3

    def diffusion(self, t):
        return 1.0


class Score(nn.Module):
    """score(x, t) of the state and the time: that of the law at rest, which holds the tails, and a small network."""

    def __init__(self):
        super().__init__()
        self.net = TimeMLP(1, width=48, depth=1)

    def forward(self, x, t):
        t = torch.as_tensor(t, dtype=x.dtype).expand(len(x))
        return self.net(x, 10 * t) + 2 * x - 2 * x**3


class Quantiles:
    """The law at the horizon by simulation: the order statistics of forward paths, where the reverse process starts."""

    def __init__(self, sde, data):
        self.ends = Simulated(200)(sde, data, torch.full((len(data),), sde.horizon), rng(17))[:, 0].sort().values

    def from_noise(self, noise):
        rank = (torch.special.ndtr(noise.double()) * len(self.ends)).long().clamp(max=len(self.ends) - 1)
        return self.ends[rank].to(noise)


@pytest.mark.slow
@pytest.mark.parametrize(
    "objective",
    [
        ImplicitScoreMatching(Simulated(20)),
        SlicedScoreMatching(Simulated(20)),
        LocalDenoising(0.2, Simulated(20)),
    ],
    ids=lambda o: type(o).__name__,
)
def test_a_double_well_is_trained_without_kernels_and_reversed(objective):
    """Two narrow modes of the data come back out of the wells: mean, spread, shares and energy distance of 2000 samples."""
    sde, law = DoubleWell(), Mixture([0.25, 0.75], [[-0.6], [1.2]], 0.25**2)
    torch.manual_seed(0)
    model = Score()
    optimizer = torch.optim.Adam(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=500)
    generator = rng(14)
    for _ in range(500):
        loss = objective(model, sde, law.sample(768, generator).float(), generator).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    prior = Quantiles(sde, law.sample(20_000, rng(18)).float())
    back = reverse_sde(sde, model.eval(), prior=prior)
    with torch.no_grad():
        x = sample(back, FixedGrid(StochasticHeun(), 150), (2000, 1), seed=1, chunk=2000).double()
    truth = law.sample(2000, rng(15))
    assert x.mean().item() == pytest.approx(law.mean.item(), abs=0.1)
    assert x.std().item() == pytest.approx(law.variance.sqrt().item(), rel=0.12)
    assert (x < 0.2).double().mean().item() == pytest.approx(0.25, abs=0.06)
    assert (
        energy_distance(x, truth)
        < 0.02
        < energy_distance(prior.from_noise(torch.randn(2000, 1, generator=rng(16))).double(), truth)
    )
