"""Any eta(kappa): the marginals are the flow's, and a constant eta is the data form's."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.reversal import (
    band,
    data_form,
    in_log_snr,
)
from sde_diffusion.reversal import (
    data_form_eta as varied_data_form,
)
from sde_diffusion.sde import EDM, VP
from sde_diffusion.testing.laws import FromLaw
from solvers import FixedGrid
from solvers.methods import METHODS
from solvers.methods.exponential_euler import ExponentialEuler
from solvers.testing.orders import observed_order
from tests.reversal.test_exact_moments import law_error

ETAS = {
    "band": band(1.3, 0.5, 3.0),
    "growing": lambda kappa: 2 * kappa / (1 + kappa),
    "waves": lambda kappa: 1 + math.sin(5 * math.log(kappa)),
}
PROCESSES = [VP(), EDM()]
STOCHASTIC = [
    method
    for method in METHODS
    if type(varied_data_form(VP(), ExactDenoiser(Gaussian.isotropic(0.0, 1.0, (1,)))).equation) in method.orders
]


class Point(Denoiser):
    """The denoiser of the law of one point."""

    def forward(self, x_t, kernel):
        return torch.full_like(x_t, 0.6)


def end(reversal, sde, method, steps: int, z: float = 0.9):
    """Mean and variance at t = 0.1 from the law of 0.6 + kappa noise at t = 0.8, in the data form's chart."""
    spacing, read = in_log_snr(sde, reversal.clock), reversal.clock.from_time
    start, stop = read(0.8), read(0.1)
    path = FromLaw(spacing(start, stop, steps))
    kappa = sde.sigma(0.8) / sde.alpha(0.8)
    y = torch.full((path.batch, 1), 0.6, dtype=torch.float64)
    y[-1] += kappa
    return path.moments(FixedGrid(method, steps, spacing)(reversal.equation, y, start, stop, path))


@pytest.mark.parametrize("steps", [1, 5])
@pytest.mark.parametrize("method", STOCHASTIC, ids=repr)
@pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("eta", ETAS)
def test_for_a_point_every_marginal_is_exact_on_any_grid(eta, sde, method, steps):
    """Noise and linear part have no error, whatever eta does within a step."""
    mean, variance = end(varied_data_form(sde, Point(), ETAS[eta]), sde, method, steps)
    assert mean == pytest.approx(0.6, rel=1e-11)
    assert variance == pytest.approx((sde.sigma(0.1) / sde.alpha(0.1)) ** 2, rel=1e-9)


@pytest.mark.thinned(3)
@pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("eta", ["growing", "waves"])
@pytest.mark.parametrize("method", STOCHASTIC, ids=repr)
def test_the_law_is_reached_at_the_declared_weak_order(method, eta, sde):
    reversal = varied_data_form(sde, ExactDenoiser(Gaussian([0.6], [[0.5]])), ETAS[eta])
    errors = [law_error(reversal, sde, method, steps) for steps in (160, 320)]
    weak = method.orders[type(reversal.equation)].weak
    assert max(errors[1]) < {1: 0.08, 2: 4e-3}[round(weak)]
    assert min(observed_order([a, b]) for a, b in zip(*errors, strict=True) if b > 1e-7) > weak - 0.2


@pytest.mark.parametrize("method", STOCHASTIC, ids=repr)
def test_a_constant_eta_is_the_data_form(method):
    sde, denoiser = VP(), ExactDenoiser(Gaussian([0.6], [[0.5]]))
    varied, plain = varied_data_form(sde, denoiser, lambda kappa: 0.7), data_form(sde, denoiser, 0.7)
    for t in (0.9, 0.2):
        assert varied.clock.to_time(varied.clock.from_time(t)) == pytest.approx(t, rel=1e-12)
    assert end(varied, sde, method, 6) == pytest.approx(end(plain, sde, method, 6), rel=1e-11)


def test_more_noise_is_felt_where_eta_says():
    """What a step keeps of its start: e^{-(mu_t - mu_s)} of the linear part, mu = lambda + the integral of eta^2."""
    sde = VP()
    reversal = varied_data_form(sde, Point(), band(2.0, 0.5, 3.0))
    read = reversal.clock.from_time
    time = {kappa: sde.time(-2 * math.log(kappa)) for kappa in (0.1, 0.4, 0.8, 2.0, 5.0, 9.0)}
    assert read(time[0.4]) - read(time[0.1]) == pytest.approx(math.log(4))
    assert read(time[2.0]) - read(time[0.8]) == pytest.approx(5 * math.log(2.5))
    assert read(time[9.0]) - read(time[5.0]) == pytest.approx(math.log(1.8))
    assert reversal.equation.spread(read(time[9.0]), read(time[5.0])) < 1e-6
    assert reversal.equation.spread(read(time[2.0]), read(time[0.8])) == pytest.approx(0.8 * math.sqrt(1 - 2.5**-8))


def test_a_time_for_each_sample_reads_as_a_float_does():
    reversal = varied_data_form(VP(), Point(), ETAS["waves"])
    t, s = (
        torch.tensor([reversal.clock.from_time(at) for at in row], dtype=torch.float64)
        for row in ((0.9, 0.5), (0.3, 0.1))
    )
    both = reversal.equation.spread(t, s)
    for i in range(2):
        assert both[i].item() == pytest.approx(reversal.equation.spread(t[i].item(), s[i].item()), rel=1e-13)


@pytest.mark.parametrize("eta", [lambda k: -1.0, lambda k: 0.0, lambda k: math.inf, lambda k: math.nan])
def test_eta_is_refused_where_it_makes_no_sense(eta):
    with pytest.raises(ValueError, match="at least 0, and above 0 somewhere"):
        varied_data_form(VP(), Point(), eta)
    with pytest.raises(ValueError, match=r"got -1.0 to 1.0; for no noise"):
        varied_data_form(VP(), Point(), lambda kappa: 1.0 if kappa > 1 else -1.0)


def test_exponential_euler_alone_sees_no_noise_outside_the_band():
    """One step outside the band is DDIM's."""
    sde, denoiser = VP(), ExactDenoiser(Gaussian([0.6], [[0.5]]))
    noisy, plain = varied_data_form(sde, denoiser, band(1.0, 0.5, 3.0)), data_form(sde, denoiser)
    t, s = sde.time(-2 * math.log(0.4)), sde.time(-2 * math.log(0.1))
    y = torch.full((8, 1), 1.3, dtype=torch.float64)

    def step(form):
        t_, s_ = form.clock.from_time(t), form.clock.from_time(s)
        path = FromLaw(torch.tensor([t_, s_], dtype=torch.float64)) if form.equation.stochastic else None
        x = y[: path.batch] if path else y
        return ExponentialEuler().step(form.equation, x, t_, s_, path, None)[0]

    torch.testing.assert_close(step(noisy)[:1], step(plain)[:1], rtol=1e-9, atol=1e-7)
