"""Every stochastic reversal x every process x every method: on a Gaussian law the moments are exact, so are the orders.

A method on a linear equation is linear in its noise: impulse responses give the exact mean and variance of the result
(see `sde_diffusion.testing.laws`), the law that it should reach is known, and no random number is drawn.
"""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.kernel import Kernel
from sde_diffusion.plugins import implementations
from sde_diffusion.reversal import (
    ancestral,
    ancestral_large,
    annealed_langevin,
    data_form,
    ddim,
    in_log_snr,
    predictor_corrector,
    reverse_sde,
)
from sde_diffusion.reversal import (
    edm_churn as churned,
)
from sde_diffusion.sde import DDPM, VP, LinearSDE
from sde_diffusion.testing.laws import LAW, LOG_SNRS, distance, law_at, reversed_moments
from solvers import EulerMaruyama
from solvers.methods import METHODS
from solvers.testing.orders import observed_order

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values() if cls is not DDPM]
REVERSALS = {
    "anderson": reverse_sde,
    "reverse_sde(0.5)": partial(reverse_sde, eta=0.5),
    "reverse_sde(1.5)": partial(reverse_sde, eta=1.5),
    "data_form(1)": partial(data_form, eta=1.0),
    "data_form(0.7)": partial(data_form, eta=0.7),
    "ancestral": ancestral,
    "ancestral_large": ancestral_large,
    "ddim(0.5)": partial(ddim, eta=0.5),
    "churned": churned,
}
CASES = [
    pytest.param(make, sde, method, id=f"{name}-{type(sde).__name__}-{method!r}")
    for name, make in REVERSALS.items()
    for sde in PROCESSES
    for method in METHODS
    if type(make(VP(), ExactDenoiser(LAW)).equation) in method.orders
]


def law_error(reversal, sde, method, steps: int) -> tuple[float, float]:
    """Errors of mean and variance at the end, relative to the exact law's, from the exact law at the start."""
    start, stop = (sde.time(log_snr) for log_snr in LOG_SNRS)
    spacing = in_log_snr(sde, reversal.clock)
    got = reversed_moments(reversal, method, law_at(sde, start), start, stop, steps, spacing)
    return distance(got, law_at(sde, stop))


@pytest.mark.thinned(3)
@pytest.mark.parametrize(("make", "sde", "method"), CASES)
def test_the_law_is_reached_at_the_declared_weak_order(make, sde, method):
    reversal = make(sde, ExactDenoiser(LAW))
    weak = method.orders[type(reversal.equation)].weak
    errors = [law_error(reversal, sde, method, steps) for steps in (160, 320)]
    assert max(errors[1]) < {1: 0.08, 2: 4e-3}[round(weak)]
    slowest = min(observed_order([a, b]) for a, b in zip(*errors, strict=True) if b > 1e-12)
    assert slowest > weak - 0.2


@pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)
def test_annealed_langevin_lags_by_one_over_c(sde):
    """The docstring's claim: the relative excess of variance falls like 1/C when the step falls like 1/C^2."""
    excess = [
        law_error(annealed_langevin(sde, ExactDenoiser(LAW), c), sde, EulerMaruyama(), 4 * c * c)[1] for c in (8, 16)
    ]
    assert excess[0] > 0.03
    assert observed_order(excess) == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("c", [0.01, 0.5, 1.0, 10.0])
def test_annealed_langevin_leaves_the_law_of_a_level_alone(c):
    """For any C > 0, slow or fast: -drift is half of the squared diffusion times the score, with C kappa^2 between them."""
    equation, u = annealed_langevin(VP(), ExactDenoiser(LAW), c).equation, -0.3
    y, kernel = torch.tensor([[0.9], [-2.0]], dtype=torch.float64), Kernel(1.0, math.exp(u))
    score = LAW.through(kernel).score(y)
    torch.testing.assert_close(equation.drift(y, u), -0.5 * equation.diffusion(u) ** 2 * score, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(equation.drift(y, u), -c * kernel.sigma**2 * score, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("c", [0.0, -1.0, math.nan])
def test_annealed_langevin_relaxes(c):
    with pytest.raises(ValueError, match="relaxations must be positive"):
        annealed_langevin(VP(), ExactDenoiser(LAW), c)


@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_the_stochastic_data_form_is_the_reverse_sde_in_another_chart(eta):
    """One Euler-Maruyama step of each, as the step shrinks: x = alpha y, with the noise and drift of the chain rule."""
    sde, denoiser = VP(), ExactDenoiser(LAW)
    form, reverse = data_form(sde, denoiser, eta), reverse_sde(sde, denoiser, eta)
    t, h = 0.4, 1e-6
    x = torch.tensor([[0.9]], dtype=torch.float64)
    read = form.clock.from_time
    y = form.to_chart(x, read(t))
    slope_y = form.equation.rate * y + form.equation.forcing(y, read(t))
    dlambda = (read(t + h) - read(t - h)) / (2 * h)
    slope_x = sde.f(t) * x + sde.alpha(t) * slope_y * dlambda
    torch.testing.assert_close(reverse.equation.drift(x, t), slope_x, rtol=1e-7, atol=1e-9)
    variance_y = form.equation.spread(read(t), read(t - h)) ** 2 / h
    assert sde.alpha(t) ** 2 * variance_y == pytest.approx((eta * sde.g(t)) ** 2, rel=1e-3)


def test_predictor_corrector_refuses_another_clock():
    with pytest.raises(ValueError, match="in the SDE's own time"):
        predictor_corrector(data_form(VP(), ExactDenoiser(LAW)), VP(), ExactDenoiser(LAW))
