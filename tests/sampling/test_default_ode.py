"""The default rule: it costs what it says, it is accurate, and it knows scales and ranges, not problems."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from sde_diffusion.denoisers import Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian, Mixture
from sde_diffusion.exact.problems import ring8, two
from sde_diffusion.exact.reference_flow import flow_end_point
from sde_diffusion.kernel import Kernel
from sde_diffusion.reversal import in_log_snr, probability_flow, sigma_form, velocity_form
from sde_diffusion.reversal.grids import quadratic_in_vp_time
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sampling.default_ode import RANGES as BUDGETS
from sde_diffusion.sampling.default_ode import default_solver, method, shape
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import EDM, VP, Rectified
from solvers import FixedGrid
from solvers.methods.adams_bashforth import AdamsBashforth
from solvers.methods.heun import Heun

RANGES = [VP(), EDM()]


class Counted(ExactDenoiser):
    """An exact denoiser that counts."""

    calls = 0

    def forward(self, x_t, kernel: Kernel, **condition):
        """Counts, then answers."""
        self.calls += 1
        return super().forward(x_t, kernel, **condition)


def start_points(sde, law, n: int = 64) -> torch.Tensor:
    noise = torch.randn(n, *law.event_shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return sde.prior().from_noise(noise)


def end_point(form, solver, x) -> torch.Tensor:
    return form.solve(solver, x)


def exact(sde, law, x) -> torch.Tensor:
    return flow_end_point(law, sde.kernel, x, sde.horizon, sde.t_min, tol=1e-9)


def rms_error(x, y) -> float:
    return (x - y).square().mean().sqrt().item()


def median_error(x, y) -> float:
    return (x - y).square().mean(-1).sqrt().median().item()


@pytest.mark.parametrize("nfe", [1, 2, 3, 4, 5, 8, *(found.last + k for found in BUDGETS[:-1] for k in (0, 1)), 100])
def test_the_cost_is_the_budget(nfe):
    denoiser = Counted(two())
    sample(*default_solver(VP(), denoiser, nfe), (7, 2), seed=0)
    assert denoiser.calls == nfe


@pytest.mark.slow
def test_it_beats_the_published_rules_at_the_same_cost():
    """At 36 calls, geometric mean over two laws and two ranges: velocity Adams-Bashforth 4, quadratic in VP time, by six;
    Heun on a geometric grid by ninety."""
    ratios = torch.tensor([_over_the_published(law, sde) for law in (two(), ring8()) for sde in RANGES])
    adams, heun = ratios.log().mean(0).exp().tolist()
    assert adams < 0.25
    assert heun < 0.02


def _over_the_published(law, sde) -> tuple[float, float]:
    denoiser, x = ExactDenoiser(law), start_points(sde, law, 1024)
    end = exact(sde, law, x)
    ours = rms_error(end_point(*default_solver(sde, denoiser, 36), x), end)
    velocity, sigma = (
        velocity_form(sde, denoiser).without_final_denoise(),
        sigma_form(sde, denoiser).without_final_denoise(),
    )
    adams = FixedGrid(AdamsBashforth(4), 36, quadratic_in_vp_time(sde, velocity.clock))
    heun = FixedGrid(Heun(), 18, in_log_snr(sde, sigma.clock))
    return ours / rms_error(end_point(velocity, adams, x), end), ours / rms_error(end_point(sigma, heun, x), end)


@pytest.mark.parametrize("sde", [*RANGES, Rectified()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize(("nfe", "bound"), [(6, 0.03), (10, 8e-3), (20, 1.5e-4), (40, 1e-5)])
def test_a_gaussian_lands_on_its_flow(sde, nfe, bound):
    """A correlated Gaussian, whose flow is linear: root mean square error over 64 points."""
    law = Gaussian([0.4, -0.8], [[1.0, 0.6], [0.6, 0.8]])
    x = start_points(sde, law)
    end = law.flow(x, sde.kernel(sde.horizon), sde.kernel(sde.t_min))
    found = end_point(*default_solver(sde, ExactDenoiser(law), nfe), x)
    assert rms_error(found, end) < bound


def test_the_order_shows_with_more_calls():
    """Twice the calls cut the error at least twentyfold beyond 30 calls: order 3, in a start that is soon over, is what the method declares."""
    law, sde = two(), VP()
    x = start_points(sde, law)
    end = exact(sde, law, x)
    errors = [median_error(end_point(*default_solver(sde, ExactDenoiser(law), nfe), x), end) for nfe in (30, 60)]
    assert errors[0] / errors[1] > 20


@pytest.mark.parametrize("nfe", [7, 25])
def test_data_of_another_scale_are_solved_by_a_scaled_rule(nfe):
    """x -> 100 x with the range of noise levels scaled alike: the solver's every step scales, to rounding."""
    small, large = EDM(80.0, 0.002), EDM(8000.0, 0.2)
    law, scaled = Mixture([0.3, 0.7], [[-1.0], [1.0]], 0.04), Mixture([0.3, 0.7], [[-100.0], [100.0]], 400.0)
    x = start_points(small, law)
    y = end_point(*default_solver(small, ExactDenoiser(law), nfe), x)
    z = end_point(*default_solver(large, ExactDenoiser(scaled), nfe, data_std=100.0), 100 * x)
    torch.testing.assert_close(z, 100 * y, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("sde", RANGES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("nfe", [11, 17, 34, 100])
def test_float32_is_not_amplified(sde, nfe):
    """Weights of alternating signs: the rounding of float32 (6e-8) grows tenfold at most at the median point."""
    law = ring8()
    x = start_points(sde, law)
    fine = end_point(*default_solver(sde, ExactDenoiser(law), nfe), x)
    coarse = end_point(*default_solver(sde, ExactDenoiser(law.to(torch.float32)), nfe), x.float())
    assert median_error(coarse.double(), fine) < 6e-7


def test_the_rule_asks_the_denoiser_nothing_before_it_samples():
    class Silent(Denoiser):
        def forward(self, *args, **kwargs):
            raise AssertionError("the rule looked at the problem")

    form, solver = default_solver(VP(), Silent(), 20)
    assert solver.spacing(form.start, form.stop, 20)[0] == form.start


def test_the_rule_is_smooth_in_the_budget_within_each_method():
    for nfe in range(5, 100):
        if repr(method(nfe)) == repr(method(nfe + 1)):
            now, then = shape(nfe), shape(nfe + 1)
            assert abs(math.log(then.weight / now.weight)) < 0.15
            assert all(abs(a - b) < 0.2 for a, b in zip(now.density, then.density, strict=True))


def test_between_two_budgets_the_numbers_lie_between():
    """At the fitted budgets they are the fitted ones; halfway in the logarithm they are the means."""
    for found in BUDGETS:
        (few, one), (many, other) = found.few, found.many
        for nfe, given in ((few, one), (many, other), (1, one), (10**6, other)):
            assert found.shape(nfe).weight == pytest.approx(given.weight, rel=1e-12)
            assert found.shape(nfe).density == pytest.approx(given.density, rel=1e-12)
    middle = replace(BUDGETS[0], few=(4, one), many=(16, other)).shape(8)
    assert middle.weight == pytest.approx(math.sqrt(one.weight * other.weight), rel=1e-12)
    assert middle.density == pytest.approx([(a + b) / 2 for a, b in zip(one.density, other.density, strict=True)])


@pytest.mark.parametrize("nfe", [0, -3, 2.5])
def test_a_budget_is_a_positive_number_of_calls(nfe):
    with pytest.raises(ValueError, match="number of denoiser calls"):
        default_solver(VP(), ExactDenoiser(two()), nfe)
    with pytest.raises(ValueError, match="data_std"):
        default_solver(VP(), ExactDenoiser(two()), 10, data_std=0.0)


@pytest.mark.parametrize("weight", [0.3, 1.0, 4.0])
def test_every_weight_is_the_same_flow(weight):
    """The weighted chart at any c, finely solved, ends where the flow in the process's own time ends."""
    law, sde = two(), VP()
    x = start_points(sde, law, 8)
    form = scaled_velocity_form(sde, ExactDenoiser(law), weight).without_final_denoise()
    found = end_point(form, FixedGrid(AdamsBashforth(4), 400, quadratic_in_vp_time(sde, form.clock)), x)
    torch.testing.assert_close(found, exact(sde, law, x), rtol=0.0, atol=1e-5)


def test_the_weight_one_is_the_velocity_form_and_zero_is_refused():
    law, sde = two(), VP()
    x, denoiser = start_points(sde, law, 8), ExactDenoiser(two())
    one, velocity = scaled_velocity_form(sde, denoiser), velocity_form(sde, denoiser)
    assert one.start == pytest.approx(velocity.start, rel=1e-12)
    u = 0.4
    torch.testing.assert_close(one.equation.drift(x, u), velocity.equation.drift(x, u))
    with pytest.raises(ValueError, match="sigma_form"):
        scaled_velocity_form(sde, denoiser, 0.0)
    assert probability_flow(sde, denoiser).start == sde.horizon


@pytest.mark.parametrize("nfe", [5, 15, 100])
@pytest.mark.parametrize("sde", RANGES, ids=lambda s: type(s).__name__)
def test_the_rule_is_what_was_fitted(sde, nfe):
    """The differentiable solver of the fit, at the rule's numbers, ends where the rule ends: its grid is a trapezoidal sum."""
    from benchmarks.default_rule import end
    from benchmarks.work_precision_problems import Cell, Problem, rms

    law = ring8()
    x = start_points(sde, law)
    given = Cell(Problem(ring8, len(x), rms), law, sde, x, torch.zeros_like(x))
    chosen = shape(nfe)
    numbers = torch.tensor([*chosen.density, math.log(chosen.weight)], dtype=torch.float64)
    fitted = end(given, numbers, method(nfe).k, nfe)  # pyright: ignore[reportAttributeAccessIssue]
    torch.testing.assert_close(fitted, end_point(*default_solver(sde, ExactDenoiser(law), nfe), x), rtol=0.0, atol=2e-3)
