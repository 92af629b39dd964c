"""Bridges between two laws: orders, end laws and joint laws on exact plans, and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import pytest
import torch

from sde_diffusion.denoisers import Coupled, Denoiser, Ends, HalfBridge, PreconditionedEnds
from sde_diffusion.exact import (
    ExactDenoiser,
    ExactEnds,
    Gaussian,
    PlanBridge,
    entropic_plan,
    independent_plan,
    potentials_plan,
)
from sde_diffusion.junction import Junction, Rates
from sde_diffusion.likelihood import Chain
from sde_diffusion.reversal import (
    ancestral,
    ancestral_large,
    annealed_langevin,
    bridge_flow,
    bridge_sde,
    data_form,
    data_form_eta,
    ddim,
    edm_churn,
    gaussian_form,
    half_bridge,
    noise_form,
    predictor_corrector,
    probability_flow,
    reverse_sde,
    sigma_form,
    velocity_form,
)
from sde_diffusion.sde import EDM, VE, VP, Brownian, Cosine, Pinned, Rectified, Straight, SubVP, Trigonometric
from sde_diffusion.testing import check_bridge
from sde_diffusion.testing.laws import FromLaw
from solvers import EulerMaruyama, FixedGrid, Heun, StochasticHeun
from solvers.methods import METHODS
from solvers.testing.orders import observed_order
from solvers.wiener import KeyedIncrements, PathSpec

NEAR, FAR = Gaussian([0.3], [[0.5]]), Gaussian([-1.0], [[0.8]])
PROCESSES = [Brownian(1.0, 1e-5), VP(horizon=0.4), EDM(horizon=1.5), Rectified(horizon=0.7)]
BACKWARDS = {
    "reverse_sde": reverse_sde,
    "data_form": partial(data_form, eta=1.0),
    "gaussian_form": partial(gaussian_form, eta=1.0),
    "ancestral": ancestral,
    "ancestral_large": ancestral_large,
}
BRIDGES = [Straight(), Straight(0.7), Trigonometric(), Trigonometric(0.3), *map(Pinned, PROCESSES)]
BRIDGES += [Pinned(SubVP()), Pinned(Cosine())]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slope(reversal, x: torch.Tensor, t: float) -> torch.Tensor:
    """The drift of an ODE or an SDE."""
    return reversal.equation.drift(x, t)


def plan_of(sde) -> Gaussian:
    """The Schroedinger bridge's plan for the process: log q(x_T | x_0) has the cross term alpha_T x_0 x_T/sigma_T^2."""
    end = sde.kernel(sde.horizon)
    return entropic_plan(NEAR, FAR, end.sigma**2 / end.alpha)


def carried(reversal, method, steps: int, law: tuple[float, float]) -> tuple[float, float, float]:
    """Mean, variance and covariance with the start, exact for a linear equation."""
    path = FromLaw(reversal.spacing(reversal.start, reversal.stop, steps))
    y = reversal.to_chart(path.start(law), reversal.start)
    y = FixedGrid(method, steps, reversal.spacing)(reversal.equation, y, reversal.start, reversal.stop, path)
    x = reversal.from_chart(y, reversal.stop)
    mean, variance = path.moments(x)
    return mean, variance, (x[-1].item() - mean) * math.sqrt(law[1])


def wanted(bridge: Pinned, plan: Gaussian, t: float, start: int) -> tuple[float, float, float]:
    """The same of x_t and the end 0 or 1, from the plan."""
    at, s = bridge.junction(t), plan.covariance
    law = ExactEnds(plan).moments.marginal(at)
    return law.mean.item(), law.variance.item(), (at.a * s[0, start] + at.b * s[1, start]).item()


def errors_of(reversal, bridge, plan, method, towards: str) -> list[list[float]]:
    law = ((FAR, NEAR)[towards == "far"].mean.item(), (FAR, NEAR)[towards == "far"].variance.item())
    stop = reversal.clock.to_time(reversal.stop)
    exact = wanted(bridge, plan, stop, int(towards == "near"))
    return [[abs(a - b) for a, b in zip(carried(reversal, method, n, law), exact, strict=True)] for n in (64, 128)]


def claim(reversal, bridge, plan, method, towards: str) -> None:
    """The declared weak order, and at 64 steps the moments within three standard errors of 20,000 draws (of 1,000 at order 1)."""
    weak = round(method.orders[type(reversal.equation)].weak)
    errors = errors_of(reversal, bridge, plan, method, towards)
    size = 20_000 if weak > 1 else 1_000
    assert max(errors[0]) < 3 * math.sqrt(2 / size) * 0.45
    resolved = [(a, b) for a, b in zip(*errors, strict=True) if b > 1e-4]
    assert all(observed_order([a, b]) > weak - 0.25 for a, b in resolved)


def backward(name: str, sde):
    return BACKWARDS[name](sde, HalfBridge(ExactEnds(plan_of(sde)), Pinned(sde)))


CASES = [
    pytest.param(name, sde, method, id=f"{name}-{type(sde).__name__}-{method!r}")
    for name in BACKWARDS
    for sde in PROCESSES
    for method in METHODS
    if type(backward(name, VP(horizon=0.4)).equation) in method.orders
]


@pytest.mark.thinned(10)
@pytest.mark.parametrize(("name", "sde", "method"), CASES)
def test_the_backward_half_is_every_reversal_of_stochasticity_one(name, sde, method):
    claim(backward(name, sde), Pinned(sde), plan_of(sde), method, "near")


@pytest.mark.parametrize("towards", ["near", "far"])
@pytest.mark.parametrize("sde", PROCESSES, ids=lambda sde: type(sde).__name__)
def test_a_half_bridge_carries_one_law_to_the_other(sde, towards):
    bridge, plan = Pinned(sde), plan_of(sde)
    reversal = half_bridge(bridge, ExactEnds(plan), towards)
    for method in (EulerMaruyama(), StochasticHeun()):
        claim(reversal, bridge, plan, method, towards)


@pytest.mark.parametrize("t", [0.1, 0.6, 0.9])
def test_brownian_halves_and_flow_are_those_of_the_exact_bridge(t):
    """Also of a plan that is no Schroedinger bridge's."""
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    bridge = Pinned(Brownian(1.0))
    for plan in (entropic_plan(NEAR, FAR, 1.0), independent_plan(NEAR, FAR)):
        own, ends = PlanBridge(plan, 1.0), ExactEnds(plan)
        pairs = [
            (half_bridge(bridge, ends, "far"), own.drift(x, t)),
            (half_bridge(bridge, ends), -own.backward_drift(x, t)),
            (bridge_flow(bridge, ends), own.flow(x, t)),
            (bridge_flow(Straight(1.0), ends), own.flow(x, t)),
            (bridge_sde(Straight(1.0), ends, lambda t: 1.0, "far"), own.drift(x, t)),
        ]
        for reversal, expected in pairs:
            torch.testing.assert_close(slope(reversal, x, t), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("bridge", [Straight(), Straight(0.5), Trigonometric(), Pinned(VP(horizon=0.4))], ids=repr)
def test_the_flow_goes_and_returns(bridge):
    """From x_0 to x_1 and back, and the law of the far end arrives."""
    plan = independent_plan(NEAR, FAR)
    flow = bridge_flow(bridge, ExactEnds(plan), "far")
    x = NEAR.mean + NEAR.variance.sqrt() * torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    there = flow.solve(FixedGrid(Heun(), 80), x)
    back = bridge_flow(bridge, ExactEnds(plan)).solve(FixedGrid(Heun(), 80), there)
    assert (back - x).abs().max() < 4e-3
    expected = FAR.mean + FAR.variance.sqrt() * torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None]
    assert (there - expected).abs().max() < (2e-3 if not bridge.noisy else 2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("towards", ["near", "far"])
def test_halves_of_a_bridge_between_mixtures_draw_its_pairs(towards):
    """Two modes at each end in the plane: mean, covariance and cross-covariance of 10,000 pairs at 64 steps."""
    eye = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    centres = torch.tensor([[1.5, 0.5], [-1.0, -1.0]], dtype=torch.float64)
    side = (torch.tensor([0.4, 0.6], dtype=torch.float64), centres, 0.4 * eye)
    other = (torch.tensor([0.5, 0.5], dtype=torch.float64), -centres.flip(1), 0.5 * eye)
    plan = potentials_plan(side, other, 1.0)
    reversal = half_bridge(Pinned(Brownian(1.0, 1e-4)), ExactEnds(plan), towards)
    x0, x1 = plan.sample(10_000, rng()).unbind(1)
    start, fresh = (x0, x1) if towards == "far" else (x1, x0)
    path = KeyedIncrements(PathSpec.like(start, 3, reversal.start, reversal.stop))
    x = reversal.solve(FixedGrid(StochasticHeun(), 64, reversal.spacing), start, path)
    made, drawn = torch.cat((start, x), 1), torch.cat((start, fresh), 1)
    error = (torch.cov(made.mT) - torch.cov(drawn.mT)).abs().max()
    assert (made.mean(0) - drawn.mean(0)).abs().max() < 3 * made.std() * math.sqrt(2 / 10_000)
    assert error < 3 * math.sqrt(2 * 2 / 10_000) * made.var()


@pytest.mark.parametrize("bridge", BRIDGES, ids=repr)
def test_bridges_conform(bridge):
    report = check_bridge(bridge)
    assert report.ok, report


@dataclass(frozen=True)
class Slipped(Straight):
    """A wrong end, a wrong rate, or floats only."""

    fault: str = ""

    def junction(self, t):
        if self.fault == "end":
            return Junction(1 - t, t, 0.1 + 0.0 * t)
        if self.fault == "floats":
            return Junction(1 - float(t), t, math.sqrt(self.eps * float(t) * (1 - float(t))))
        return Straight.junction(self, t)

    def rates(self, t):
        own = Straight.rates(self, t)
        return Rates(own.a, own.b, 2 * own.relative_c) if self.fault == "rate" else own


@pytest.mark.parametrize(
    ("fault", "check"), [("end", "the end at t = 0"), ("rate", "rates are derivatives"), ("floats", "tensors")]
)
def test_a_wrong_bridge_is_found(fault, check):
    assert check in [finding.check for finding in check_bridge(Slipped(0.5, fault)).failures]


DENOISER = ExactDenoiser(NEAR)
FLOWS = [probability_flow, velocity_form, noise_form, sigma_form, data_form, gaussian_form, ddim]
REVERSE = [reverse_sde, partial(data_form, eta=1.0), ancestral, ancestral_large, partial(ddim, eta=1.0)]
SCORES = [
    partial(reverse_sde, eta=0.5),
    partial(ddim, eta=0.5),
    annealed_langevin,
    edm_churn,
    data_form_eta,
    lambda sde, model: predictor_corrector(probability_flow(sde, DENOISER), sde, model),
    lambda sde, model: Chain(sde, model),
]


@pytest.mark.parametrize("make", [*FLOWS, *REVERSE, *SCORES], ids=lambda make: getattr(make, "__name__", "partial"))
def test_a_denoiser_that_is_no_score_is_refused_where_one_is_needed(make):
    sde = VP(horizon=0.4)
    for model, right in ((Coupled(DENOISER), FLOWS), (HalfBridge(ExactEnds(plan_of(sde)), Pinned(sde)), REVERSE)):
        if make in right:
            make(sde, model)
        else:
            with pytest.raises(ValueError, match="needs a score, got"):
                make(sde, model)


def test_a_coupled_denoiser_inside_another_is_found():
    class Wrapper(Denoiser):  # a Denoiser of somebody else
        def __init__(self, inner):
            super().__init__()
            self.inner = inner

        def forward(self, x_t, kernel, **condition):
            return self.inner(x_t, kernel, **condition)

    with pytest.raises(ValueError, match="its noise depended on the data"):
        reverse_sde(VP(), Wrapper(Coupled(DENOISER)))


def test_a_coupled_denoiser_gives_the_flow_between_its_ends():
    """x_1 chosen with x_0 in the place of the noise: the velocity form is the flow of the plan."""
    plan = entropic_plan(NEAR, FAR, 0.1)
    ends = ExactEnds(plan)

    class Near(Denoiser):
        def forward(self, x_t, kernel, **condition):
            total = kernel.alpha + kernel.sigma
            return ends(x_t / total, Junction(kernel.alpha / total, kernel.sigma / total, 0.0))[0]

    x = torch.linspace(-1, 1, 3, dtype=torch.float64)[:, None]
    got = slope(velocity_form(Rectified(), Coupled(Near())), x, 0.4)
    torch.testing.assert_close(got, slope(bridge_flow(Straight(), ends), x, 0.4), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("a", "b", "c"), [(0.7, 0.3, 0.2), (0.2, 0.8, 0.0), (1.0, 0.0, 0.0)])
def test_the_preconditioning_is_the_linear_estimate(a, b, c):
    """With a network of zeros both ends are those of centred Gaussian pairs with the given moments."""

    class Zeros(torch.nn.Module):
        def forward(self, x, level):
            return 0 * x

    plan = Gaussian(torch.zeros(2, 1, dtype=torch.float64), [[0.5, 0.2], [0.2, 0.9]])
    x, junction = torch.linspace(-2, 2, 5, dtype=torch.float64)[:, None], Junction(a, b, c)
    for got, exact in zip(
        PreconditionedEnds(Zeros(), Zeros(), 0.5, 0.9, 0.2)(x, junction), ExactEnds(plan)(x, junction), strict=True
    ):
        torch.testing.assert_close(got, exact, rtol=1e-10, atol=1e-10)


def test_the_junction_takes_a_level_for_each_sample():
    ends = ExactEnds(entropic_plan(NEAR, FAR, 1.0))
    x, t = torch.linspace(-1, 1, 3, dtype=torch.float64)[:, None], torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    together = ends(x, Straight(1.0).junction(t))
    for i in range(3):
        alone = ends(x[i : i + 1], Straight(1.0).junction(t[i].item()))
        for one, many in zip(alone, together, strict=True):
            torch.testing.assert_close(one[0], many[i], rtol=1e-12, atol=1e-12)


def test_wrong_arguments_are_refused_in_one_sentence():
    ends = ExactEnds(entropic_plan(NEAR, FAR, 1.0))
    with pytest.raises(TypeError, match="takes a bridge first"):
        bridge_flow(cast(Any, Brownian(1.0)), ends)
    with pytest.raises(TypeError, match="needs both ends"):
        bridge_flow(Straight(), cast(Any, DENOISER))
    with pytest.raises(ValueError, match="'near'"):
        bridge_flow(Straight(), ends, cast(Any, "up"))
    with pytest.raises(ValueError, match="has no noise"):
        bridge_sde(Straight(), ends, lambda t: 1.0)
    with pytest.raises(TypeError, match="pinned process"):
        half_bridge(cast(Any, Straight(1.0)), ends)
    with pytest.raises(ValueError, match="does not begin"):
        Pinned(VE())
    with pytest.raises(TypeError, match="linear process"):
        Pinned(cast(Any, DENOISER))
    with pytest.raises(ValueError, match="eps >= 0"):
        Straight(-1.0)
    with pytest.raises(ValueError, match="starts from points"):
        half_bridge(Pinned(Brownian(1.0)), ends).prior.from_noise(torch.zeros(1, 1))
    assert issubclass(ExactEnds, Ends)
