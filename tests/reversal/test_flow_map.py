"""Every deterministic reversal x every process x every method that integrates it: the exact flow map, at the declared order."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.plugins import implementations
from sde_diffusion.reversal import data_form, ddim, in_log_snr, noise_form, probability_flow, sigma_form, velocity_form
from sde_diffusion.sde import DDPM, VP, LinearSDE
from solvers import FixedGrid, MarkovChain
from solvers.methods import METHODS
from solvers.methods.ancestral import Ancestral
from solvers.testing.orders import observed_order

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values() if cls is not DDPM]
LAW = Gaussian([0.4, -0.8], [[1.0, 0.6], [0.6, 0.8]])
REVERSALS = [probability_flow, data_form, noise_form, sigma_form, velocity_form]
LOG_SNRS = (-4.0, 3.0)
CASES = [
    pytest.param(reversal, sde, method, id=f"{reversal.__name__}-{type(sde).__name__}-{method!r}")
    for reversal in REVERSALS
    for sde in PROCESSES
    for method in METHODS
    if type(reversal(VP(), ExactDenoiser(LAW)).equation) in method.orders
]


def flow_error(reversal, sde, method, steps: int) -> float:
    """Distance to the closed-form flow map between two noise levels, on a grid with equal ratios of the noise level."""
    start, stop = (sde.time(log_snr) for log_snr in LOG_SNRS)
    clock = reversal.clock
    x = torch.tensor([[0.3, 2.0], [-1.5, 0.2], [1.0, 1.0]], dtype=torch.float64)
    x = sde.kernel(start).scale * x
    solver = FixedGrid(method, steps, in_log_snr(sde, clock))
    y = solver(
        reversal.equation, reversal.to_chart(x, clock.from_time(start)), clock.from_time(start), clock.from_time(stop)
    )
    exact = LAW.flow(x, sde.kernel(start), sde.kernel(stop))
    return (reversal.from_chart(y, clock.from_time(stop)) - exact).norm().item()


@pytest.mark.thinned(4)
@pytest.mark.parametrize(("make", "sde", "method"), CASES)
def test_flow_map(make, sde, method):
    """At least the declared order (tests/solvers measures it exactly; a stiff clock may flatter it before the limit)."""
    reversal = make(sde, ExactDenoiser(LAW))
    order = method.orders[type(reversal.equation)].strong
    n = {1: 200, 2: 100, 3: 100, 4: 120, 5: 120}[round(order)]
    errors = [flow_error(reversal, sde, method, steps) for steps in (n, 2 * n)]
    assert errors[1] < {1: 0.05, 2: 5e-3}.get(round(order), 5e-4)
    assert errors[1] < 1e-7 or observed_order(errors) > order - 0.35


@pytest.mark.parametrize("sde", PROCESSES, ids=lambda s: type(s).__name__)
def test_ddim_is_exponential_euler_in_the_data_form(sde):
    """Song et al.'s DDIM(0) on any grid of any process, step for step, to rounding."""
    from solvers.methods.exponential_euler import ExponentialEuler

    class Deterministic(Ancestral):
        orders = {MarkovChain: Ancestral.orders[MarkovChain]}

        def step(self, equation, x, t, s, path, state):
            return equation.mean(x, t, s), None

    chain, form = ddim(sde, ExactDenoiser(LAW), eta=0.0), data_form(sde, ExactDenoiser(LAW))
    start, stop = (sde.time(log_snr) for log_snr in LOG_SNRS)
    x = torch.tensor([[0.3, 2.0]], dtype=torch.float64)
    method, spacing = Deterministic(), in_log_snr(sde)
    y = x
    grid = spacing(start, stop, 7).tolist()
    for t, s in zip(grid, grid[1:], strict=False):
        y, _ = method.step(chain.equation, y, t, s, None, None)
    read = form.clock.from_time
    z = FixedGrid(ExponentialEuler(), 7, in_log_snr(sde, form.clock))(
        form.equation, form.to_chart(x, read(start)), read(start), read(stop)
    )
    torch.testing.assert_close(form.from_chart(z, read(stop)), y, rtol=1e-9, atol=1e-9)


def test_the_last_step_to_zero_noise_returns_the_denoised_mean():
    """Carried to log(sigma) = -infinity, exponential Euler answers E[x0 | x_t], without a special case."""
    from solvers import ExponentialAdams, ExponentialEuler, integrate

    form = data_form(VP(), ExactDenoiser(LAW))
    y = torch.tensor([[0.3, 2.0]], dtype=torch.float64)
    grid = torch.tensor([0.2, -torch.inf], dtype=torch.float64)
    expected = -form.equation.forcing(y, 0.2)
    for method in (ExponentialEuler(), ExponentialAdams(2)):
        ((_, end),) = integrate(method, form.equation, y, grid)
        torch.testing.assert_close(end, expected, rtol=1e-12, atol=1e-12)
