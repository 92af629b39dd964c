"""The reverse SDE, the flow and annealed Langevin, from the exact law at T, land on the data law of a mixture.

Design of the test. n = 4000 samples per case, seeds fixed. Two statistics against the law of x at t_min (no finish, so
that the target is exact): (a) the mean exact log-density, whose standard error s is known from the sample: a case fails
beyond 4 s (two-sided p = 6e-5; with 12 cases and two statistics a false alarm has probability below 0.2%); (b) the
energy distance of half of them, against three times the largest of 3 distances between two exact sample sets of that size.
"""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.metrics import energy_distance
from sde_diffusion.reversal import annealed_langevin, in_log_snr, predictor_corrector, probability_flow, reverse_sde
from sde_diffusion.reversal.base import on_sde_time
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import SDE, VE, VP, Brownian, SubVP
from solvers import EulerMaruyama, FixedGrid, Heun, KeyedIncrements, StochasticHeun
from solvers.methods.predictor_corrector import PredictorCorrector

N = 4000
LAW = two()
PROCESSES = [VP(), SubVP(), VE(), Brownian()]
SAMPLERS = {
    "reverse_sde": (reverse_sde, StochasticHeun(), 300),
    "probability_flow": (probability_flow, Heun(), 60),
    "annealed_langevin": (lambda sde, d: annealed_langevin(sde, d, 60.0), EulerMaruyama(), 3000),
}


class ExactPrior:
    """Draws of the exact law at the horizon in the place of the Gaussian prior; noise only says how many."""

    def __init__(self, law, seed: int):
        self.law, self.seed = law, seed

    def from_noise(self, noise):
        return self.law.sample(len(noise), torch.Generator().manual_seed(self.seed)).to(noise)


def land(make, method, steps: int, sde, seed: int = 0):
    denoiser = ExactDenoiser(LAW)
    reversal = (
        make(sde, denoiser).without_final_denoise().with_prior(ExactPrior(LAW.through(sde.kernel(sde.horizon)), seed))
    )
    solver = FixedGrid(method, steps, in_log_snr(sde, reversal.clock))
    return sample(reversal, solver, (N, 2), seed, noise=KeyedIncrements, chunk=N, dtype=torch.float64)


def assert_lands(x, target, allowance: float = 0.0):
    log_prob = target.log_prob(x)
    exact = target.log_prob(target.sample(200_000, torch.Generator().manual_seed(99))).mean().item()
    error = log_prob.std().item() / math.sqrt(len(x))
    assert abs(log_prob.mean().item() - exact) < 4 * error + allowance
    sets = [target.sample(N // 2, torch.Generator().manual_seed(k)) for k in range(6)]
    floor = max(abs(float(energy_distance(a, b))) for a, b in zip(sets[1::2], sets[0::2], strict=True))
    assert abs(float(energy_distance(x[: N // 2], sets[0]))) < 3 * floor + allowance


CASES = [
    pytest.param(
        name,
        sde,
        id=f"{name}-{type(sde).__name__}",
        marks=[pytest.mark.slow] * (name[0] == "a" or type(sde) in (SubVP, Brownian)),
    )
    for name in SAMPLERS
    for sde in PROCESSES
]


@pytest.mark.parametrize(("name", "sde"), CASES)
def test_from_the_exact_law_at_the_horizon_samples_land_on_the_data_law(name, sde):
    make, method, steps = SAMPLERS[name]
    # annealed Langevin lags by 1/C = 1.7% of the variance, 0.017 nats in two dimensions (see test_exact_moments)
    allowance = 0.02 if name == "annealed_langevin" else 0.0
    assert_lands(land(make, method, steps, sde), LAW.through(sde.kernel(sde.t_min)), allowance)


@pytest.mark.parametrize("sde", PROCESSES[:1], ids=lambda s: type(s).__name__)
def test_predictor_corrector_lands_too(sde):
    """With a small corrector step: its bias is of the order of snr^2."""

    def make(sde, denoiser):
        return predictor_corrector(reverse_sde(sde, denoiser), sde, denoiser)

    x = land(make, PredictorCorrector(StochasticHeun(), snr=0.05), 100, sde)
    assert_lands(x, LAW.through(sde.kernel(sde.t_min)))


def test_the_mismatch_of_a_short_brownian_horizon_is_seen():
    """From a prior that ignores the data, a horizon of 1 leaves a bias far beyond the floor: the test has power."""
    sde = Brownian(horizon=1.0)
    reversal = reverse_sde(sde, ExactDenoiser(LAW), prior=sde.prior(0.0, 0.0)).without_final_denoise()
    solver = FixedGrid(StochasticHeun(), 200, in_log_snr(sde))
    x = sample(reversal, solver, (N, 2), noise=KeyedIncrements, chunk=N, dtype=torch.float64)
    with pytest.raises(AssertionError):
        assert_lands(x, LAW.through(sde.kernel(sde.t_min)))


class Quartic(SDE):
    """dx = -x^3 dt + sqrt(2) dW: no closed-form kernel; stationary under exp(-x^4/4), whose score is -x^3."""

    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return -(x**3)

    def diffusion(self, t):
        return math.sqrt(2)


@pytest.mark.parametrize("make", [reverse_sde, probability_flow], ids=lambda f: f.__name__)
def test_a_users_nonlinear_process_reverses_given_a_score(make):
    """Started in its stationary law it stays there: E[x^2] = 2 gamma(3/4)/gamma(1/4), by quadrature of exp(-x^4/4)."""

    class Stationary:
        def from_noise(self, noise):
            grid = torch.linspace(-4, 4, 80_001, dtype=torch.float64)
            cdf = torch.cumsum(torch.exp(-(grid**4) / 4), 0)
            u = 0.5 * torch.erfc(-noise / math.sqrt(2))
            return grid[torch.searchsorted(cdf / cdf[-1], u).clamp(max=len(grid) - 1)]

    reversal = make(Quartic(), lambda x, t: -(x**3), prior=Stationary())
    method = StochasticHeun() if reversal.equation.stochastic else Heun()
    x = sample(reversal, FixedGrid(method, 200), (20_000, 1), noise=KeyedIncrements, chunk=20_000, dtype=torch.float64)
    exact = 2 * math.gamma(3 / 4) / math.gamma(1 / 4)
    assert x.square().mean().item() == pytest.approx(exact, abs=5 * x.square().std().item() / math.sqrt(20_000))


def test_a_process_without_kernels_asks_for_its_prior():
    with pytest.raises(ValueError, match="pass prior="):
        reverse_sde(Quartic(), lambda x, t: -(x**3))


def test_anderson_with_no_noise_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match="probability_flow"):
        reverse_sde(VP(), ExactDenoiser(LAW), eta=0.0)


def test_the_finish_returns_the_mean_not_the_mean_plus_noise():
    """With the finish, the spread of samples about their modes is that of E[x0 | x], not of x at t_min."""
    sde = VE(sigma_min=0.2, sigma_max=50.0)
    law = replace_law()
    reversal = reverse_sde(sde, ExactDenoiser(law))
    solver = FixedGrid(StochasticHeun(), 200)
    with_finish = sample(reversal, solver, (3000, 2), noise=KeyedIncrements, chunk=3000, dtype=torch.float64)
    raw = sample(
        reversal.without_final_denoise(), solver, (3000, 2), noise=KeyedIncrements, chunk=3000, dtype=torch.float64
    )
    v, s2 = 0.5, sde.sigma_min**2
    assert raw.var().item() == pytest.approx(v + s2, rel=0.05)
    assert with_finish.var().item() == pytest.approx(v * v / (v + s2), rel=0.05)
    torch.testing.assert_close(with_finish, reversal.finish(raw, reversal.stop))


def replace_law():
    from sde_diffusion.exact import Gaussian

    return Gaussian(torch.zeros(2), 0.5 * torch.eye(2))


def test_a_reversal_keeps_its_parts_when_one_is_replaced():
    denoiser = ExactDenoiser(LAW)
    reversal = on_sde_time(VP(), denoiser, probability_flow(VP(), denoiser).equation)
    assert replace(reversal, stop=0.5).start == reversal.start
