"""The Gaussian form: exact for the Gaussian that it is made for, of full order for others, down to no noise at all."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.reversal import data_form, gaussian_form
from sde_diffusion.sde import EDM, VP
from solvers import ExponentialAdams, FixedGrid, SemilinearODE, SemilinearSDE, uniform
from solvers.methods import METHODS
from solvers.methods.exponential_runge_kutta import ExponentialRungeKutta
from solvers.testing.orders import observed_order
from tests.reversal.test_exact_moments import law_error

PROCESSES = [VP(), EDM()]
MEAN, DEVIATION = 0.6, 0.3
OWN = ExactDenoiser(Gaussian([MEAN], [[DEVIATION**2]]))
OTHER = ExactDenoiser(Gaussian([MEAN], [[0.5]]))
FLOWS, NOISY = ([m for m in METHODS if kind in m.orders] for kind in (SemilinearODE, SemilinearSDE))
named = pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)


@named
@pytest.mark.parametrize("method", NOISY, ids=repr)
@pytest.mark.parametrize(("eta", "steps"), [(1.0, 1), (1.0, 5), (0.4, 3)])
def test_its_own_gaussian_is_exact_in_law_on_any_grid(sde, method, eta, steps, monkeypatch):
    """Mean and variance from log SNR -4 to 2 by impulses, on the law with variance DEVIATION^2."""
    monkeypatch.setattr("sde_diffusion.testing.laws.MEAN", MEAN)
    monkeypatch.setattr("sde_diffusion.testing.laws.VARIANCE", DEVIATION**2)
    assert max(law_error(gaussian_form(sde, OWN, eta, DEVIATION), sde, method, steps)) < 1e-9


@named
@pytest.mark.parametrize("method", FLOWS, ids=repr)
def test_its_own_gaussian_is_exact_in_one_step_along_the_flow(sde, method):
    form = gaussian_form(sde, OWN, 0.0, DEVIATION).without_final_denoise()
    x = sde.prior().from_noise(torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None])
    y = FixedGrid(method, 1)(form.equation, form.to_chart(x, form.start), form.start, form.stop)
    exact = Gaussian([MEAN], [[DEVIATION**2]]).flow(x, sde.kernel(sde.horizon), sde.kernel(sde.t_min))
    torch.testing.assert_close(form.from_chart(y, form.stop), exact, rtol=1e-8, atol=1e-8)


@named
@pytest.mark.parametrize("method", NOISY, ids=repr)
def test_another_gaussian_is_reached_at_the_declared_weak_order(sde, method):
    reversal = gaussian_form(sde, OTHER, 1.0, DEVIATION)
    errors = [law_error(reversal, sde, method, steps) for steps in (160, 320)]
    weak = method.orders[SemilinearSDE].weak
    assert max(errors[1]) < {1: 0.08, 2: 4e-3}[round(weak)]
    assert min(observed_order([a, b]) for a, b in zip(*errors, strict=True) if b > 1e-12) > weak - 0.2


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_it_is_the_data_form_in_another_clock(eta):
    """Drift and noise by the chain rule at one state and time."""
    sde, t, h = VP(), 0.4, 1e-6
    y = torch.tensor([[0.9]], dtype=torch.float64)
    mine, data = gaussian_form(sde, OTHER, eta, DEVIATION), data_form(sde, OTHER, eta)
    speeds = [(f.clock.from_time(t + h) - f.clock.from_time(t - h)) / (2 * h) for f in (mine, data)]
    slopes = [f.equation.rate * y + f.equation.forcing(y, f.clock.from_time(t)) for f in (mine, data)]
    torch.testing.assert_close(speeds[0] * slopes[0], speeds[1] * slopes[1], rtol=1e-7, atol=1e-9)
    if eta > 0:
        noises = [f.equation.spread(f.clock.from_time(t), f.clock.from_time(t - h)) for f in (mine, data)]
        assert noises[0] == pytest.approx(noises[1], rel=1e-4)


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_last_step_to_no_noise_at_all_keeps_the_order(k):
    """The clock ends at log(v)/2 where sigma = 0: the end point there is exact, and no method asks for the field."""
    sde, v = VP(), DEVIATION**2
    form = gaussian_form(sde, OTHER, 0.0, DEVIATION)
    kappa, y0 = 2.0, torch.tensor([[1.7]], dtype=torch.float64)
    exact = MEAN + (y0 - MEAN) * math.sqrt(0.5 / (0.5 + kappa**2))
    method = ExponentialAdams(k, ExponentialRungeKutta(max(k - 1, 1)))
    errors = []
    for steps in (32, 64, 128):
        y = FixedGrid(method, steps, uniform)(form.equation, y0, math.log(kappa**2 + v) / 2, math.log(v) / 2)
        errors.append((y - exact).abs().item())
    assert observed_order(errors) == pytest.approx(k, abs=0.25)


@pytest.mark.parametrize(("eta", "deviation"), [(-1.0, 0.5), (1.0, 0.0), (0.0, -1.0)])
def test_what_makes_no_sense_is_refused(eta, deviation):
    with pytest.raises(ValueError, match="eta >= 0 and data_std > 0"):
        gaussian_form(VP(), OWN, eta, deviation)
