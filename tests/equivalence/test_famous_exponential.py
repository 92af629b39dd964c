r"""The exponential family of diffusers: DPM-Solver++, its stochastic form, and DEIS.

In lambda = log(sigma/alpha), with the steps h = |lambda_s - lambda_t|, h_0 before it, and D_0, D_1 the newest two data
predictions, all versions of the second order read

    y_s = e^{-h} y_t + (1 - e^{-h}) D_0 + c (D_0 - D_1) h/h_0,    y = x/alpha,                                     (1)

    c = (h - 1 + e^{-h})/h    diffusers' solver_type "heun", and exponential Adams of two fields: the line through the
                              two predictions is integrated exactly;                                               (2)
    c = (1 - e^{-h})/2        solver_type "midpoint", DPM-Solver++(2M) as it is published: the line is taken at the
                              middle of the step.                                                                  (3)

(2) and (3) are h/2 - h^2/6 and h/2 - h^2/4 to second order: with D_0 - D_1 of order h they differ by O(h^3) a step, so
that both are of order 2, with different constants. Our ExponentialAdams(2) is therefore equal to "heun", and to
"midpoint" up to its own error. DEIS (log rho) is the same construction on the noise form, equal for one, two and three
fields.

`DPMSolverMultistepScheduler.step` rounds the state to float32 at every step. The tests at 1e-11 call its update
formulas, which do not; one test goes through `step`, at float32's precision.
"""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DEISMultistepScheduler, DPMSolverMultistepScheduler
from torch import Tensor

from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal import data_form, noise_form
from sde_diffusion.sde import VP
from solvers import ExponentialAdams, ExponentialEuler, power
from solvers.multistep import adams_table
from tests.equivalence.famous import BATCH, DENOISER, Given, normal, ours, stream

PROCESS = VP()
START = normal(BATCH, 2)


def levels(steps: int) -> Tensor:
    """Noise levels sigma/alpha from 20 to 0.05, far from equally spaced in lambda."""
    return power(7)(20.0, 0.05, steps)


def readings(steps: int) -> list[float]:
    return levels(steps).log().tolist()


def channel(kappa: float) -> Kernel:
    return Kernel((1 + kappa**2) ** -0.5, kappa * (1 + kappa**2) ** -0.5)


def on_levels(scheduler, kappas: Tensor):
    """The scheduler on our noise levels, from the first to the last, in float64."""
    scheduler.set_timesteps(len(kappas) - 1)
    scheduler.sigmas = kappas
    return scheduler


def solver(order: int, **config) -> DPMSolverMultistepScheduler:
    return DPMSolverMultistepScheduler(
        prediction_type="sample", solver_order=order, lower_order_final=False, final_sigmas_type="sigma_min", **config
    )


def by_updates(scheduler, x: Tensor, kappas: Tensor, noise=None) -> Tensor:
    """The scheduler's update formulas in float64: first order, then second where it is asked for."""
    on_levels(scheduler, kappas)
    seen: list[Tensor] = []
    for i, kappa in enumerate(kappas[:-1].tolist()):
        scheduler._step_index = i
        seen.append(DENOISER(x, channel(kappa)))
        z = None if noise is None else next(noise)
        if i == 0 or scheduler.config.solver_order == 1:
            x = scheduler.dpm_solver_first_order_update(seen[-1], sample=x, noise=z)
        else:
            x = scheduler.multistep_dpm_solver_second_order_update(seen[-2:], sample=x, noise=z)
    return x


def by_steps(scheduler, x: Tensor, kappas: Tensor) -> Tensor:
    """diffusers' own loop."""
    on_levels(scheduler, kappas)
    for kappa, t in zip(kappas.tolist(), scheduler.timesteps, strict=False):
        x = scheduler.step(DENOISER(x, channel(kappa)), t, x).prev_sample
    return x


def test_first_order_is_exponential_euler():
    mine = ours(data_form(PROCESS, DENOISER), ExponentialEuler(), readings(12), START)
    torch.testing.assert_close(mine, by_updates(solver(1), START, levels(12)), rtol=0, atol=1e-11)


def test_stochastic_first_order_is_exponential_euler_on_the_reverse_sde():
    """SDE-DPM-Solver++(1) is the data form with eta = 1; both get the same unit normals."""
    theirs = by_updates(solver(1, algorithm_type="sde-dpmsolver++"), START, levels(12), stream(5))
    mine = ours(data_form(PROCESS, DENOISER, eta=1.0), ExponentialEuler(), readings(12), START, Given(stream(5)))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)


@pytest.mark.parametrize("steps", [5, 24])
def test_second_order_is_exponential_adams(steps):
    """Equation (2)."""
    mine = ours(data_form(PROCESS, DENOISER), ExponentialAdams(2), readings(steps), START)
    theirs = by_updates(solver(2, solver_type="heun"), START, levels(steps))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)


def test_second_order_through_diffusers_own_loop():
    """The order of the first steps and the bookkeeping too; float32 rounds x = O(1) by 6e-8 in each of 24 steps."""
    mine = ours(data_form(PROCESS, DENOISER), ExponentialAdams(2), readings(24), START)
    theirs = by_steps(solver(2, solver_type="heun"), START, levels(24))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-5)


def test_the_midpoint_rule_is_exponential_adams_with_another_second_weight():
    """Equation (3) from equation (2): our table, its second weight multiplied by the ratio of the two c."""
    times, steps = readings(12), 12
    y, before = data_form(PROCESS, DENOISER).to_chart(START, times[0]), None
    for t, s, (factor, weights) in zip(times, times[1:], adams_table(times, 2, 1.0), strict=False):
        data, h = DENOISER(y, Kernel(1.0, math.exp(t))), t - s
        y, older = factor * y - sum(weights) * data, data if before is None else before
        if len(weights) == 2:
            ratio = -math.expm1(-h) / 2 / ((h + math.expm1(-h)) / h)
            y = y - ratio * weights[1] * (older - data)
        before = data
    mine = data_form(PROCESS, DENOISER).from_chart(y, times[-1])
    theirs = by_updates(solver(2, solver_type="midpoint"), START, levels(steps))
    torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-11)


def test_the_midpoint_rule_and_exponential_adams_meet_with_order_two():
    def gap(steps: int) -> float:
        theirs = by_updates(solver(2, solver_type="midpoint"), START, levels(steps))
        mine = ours(data_form(PROCESS, DENOISER), ExponentialAdams(2), readings(steps), START)
        return (mine - theirs).square().mean().sqrt().item()

    first, second = gap(160), gap(320)
    assert second < 1e-4
    assert math.log2(first / second) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_deis_is_exponential_adams_on_the_noise_form(k):
    scheduler = on_levels(
        DEISMultistepScheduler(prediction_type="sample", solver_order=k, lower_order_final=False), levels(20)
    )
    x = START
    for kappa, t in zip(levels(20).tolist(), scheduler.timesteps, strict=False):
        x = scheduler.step(DENOISER(x, channel(kappa)), t, x).prev_sample
    mine = ours(noise_form(PROCESS, DENOISER), ExponentialAdams(k), readings(20), START)
    torch.testing.assert_close(mine, x, rtol=0, atol=1e-9)
