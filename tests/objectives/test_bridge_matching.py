"""Bridge matching: its minimum is both conditional means, and a trained bridge carries one law to the other."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from sde_diffusion.couplings import Assignment, FromFar, GaussianCoupling, Independent, Pairs, WithinLabels
from sde_diffusion.data.base import Batch
from sde_diffusion.denoisers import Coupled, Denoiser, Preconditioned, PreconditionedEnds
from sde_diffusion.exact import ExactDenoiser, ExactEnds, Gaussian, entropic_plan, independent_plan
from sde_diffusion.model import DiffusionModel
from sde_diffusion.networks import TimeMLP
from sde_diffusion.objectives import BridgeMatching, CoupledDenoising, DenoisingScoreMatching
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import half_bridge, velocity_form
from sde_diffusion.sde import VP, Brownian, Pinned, Rectified, Straight, Trigonometric
from sde_diffusion.training import TrainSettings, fit, train
from solvers import FixedGrid, Heun, StochasticHeun
from solvers.wiener import KeyedIncrements, PathSpec

NEAR = Gaussian([0.3, 0.0], [[0.5, 0.2], [0.2, 0.6]])
FAR = Gaussian([-1.0, 0.5], [[0.8, -0.3], [-0.3, 0.4]])


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def given(x0, x1, generator):
    """The rows as they come."""
    rows = torch.arange(len(x0))
    return Pairs(x0, x1, rows, rows)


@pytest.mark.parametrize("bridge", [Straight(), Straight(1.0), Trigonometric(0.5), Pinned(VP(horizon=0.4))], ids=repr)
def test_the_loss_is_least_at_the_conditional_means(bridge):
    """Its slope along a change of either end, by a constant or by x_t, is zero within four standard errors."""
    ends = ExactEnds(independent_plan(NEAR, FAR))
    x0, x1 = NEAR.sample(4000, rng(1)), FAR.sample(4000, rng(2))
    noise = torch.randn(x0.shape, generator=rng(3), dtype=torch.float64)

    class Moved(ExactEnds):
        change: Any
        along: Any
        other: Any

        def near(self, x_t, junction, **condition):
            return ends.near(x_t, junction) + self.change * self.along(x_t)

        def far(self, x_t, junction, **condition):
            return ends.far(x_t, junction) + self.change * self.other(x_t)

    zero, one = torch.zeros_like, torch.ones_like
    for share in (0.1, 0.6):
        t = share * bridge.horizon
        for along, other in ((one, zero), (zero, one), (lambda x: x, zero), (zero, lambda x: x)):
            moved = Moved(ends.moments.plan)
            moved.along, moved.other = along, other
            losses = []
            for moved.change in (-1e-3, 1e-3):
                losses.append(BridgeMatching(given).at(moved, bridge, x0, x1, noise, torch.full((), t).double()))
            slope = (losses[1] - losses[0]) / 2e-3
            assert abs(slope.mean()) < 4 * slope.std() / math.sqrt(len(slope))


def test_coupled_denoising_of_given_pairs_is_denoising_with_that_noise():
    denoiser, sde, x = Coupled(ExactDenoiser(NEAR)), VP(), NEAR.sample(50, rng())
    source = FAR.sample(50, rng(1))
    got = CoupledDenoising(given)(denoiser, sde, Batch(x, source), rng(2), None)
    own = DenoisingScoreMatching()
    t = own.times(sde, own.draw(x, rng(2)))
    assert torch.equal(got, own.at(denoiser, sde, x, source, t))


def test_a_denoiser_that_would_be_taken_for_a_score_is_refused():
    x = torch.randn(4, 1, generator=rng())
    with pytest.raises(TypeError, match=r"train Coupled\(denoiser\)"):
        CoupledDenoising(Assignment())(ExactDenoiser(NEAR), VP(), Batch(x), rng(), None)
    with pytest.raises(TypeError, match=r"train Coupled\(denoiser\)"):
        DiffusionModel.for_data(x, width=8).fit(x, steps=1, objective=CoupledDenoising(Assignment()))


def test_conditions_follow_their_samples():
    """The label of a pair is that of its x_0, also where the coupling has moved the rows."""
    label = torch.arange(20) % 2
    x0 = label[:, None].double() + 0.01 * torch.randn(20, 1, generator=rng(), dtype=torch.float64)
    seen = []

    class Model(Denoiser):
        def forward(self, x_t, kernel, **condition):
            seen.append(condition["label"])
            return x_t

    class Recorded(DenoisingScoreMatching):
        def at(self, denoiser, sde, x0, noise, t, **condition):
            assert torch.equal(x0[:, 0].round().long(), condition["label"])
            return DenoisingScoreMatching.at(self, denoiser, sde, x0, noise, t, **condition)

    batch = Batch(x0, torch.randn(20, 1, generator=rng(1), dtype=torch.float64), {"label": label})
    CoupledDenoising(WithinLabels(Assignment()), Recorded())(Coupled(Model()), VP(), batch, rng(), None)
    assert seen
    assert not torch.equal(seen[0], label)
    with pytest.raises(ValueError, match="WithinLabels"):
        CoupledDenoising(Assignment())(Coupled(Model()), VP(), batch, rng(), None)


def test_made_points_have_no_conditions():
    x = torch.randn(4, 1, generator=rng())
    batch = Batch(x, x, {"mask": x})
    with pytest.raises(ValueError, match="have no mask"):
        CoupledDenoising(FromFar(lambda x, generator: x))(Coupled(ExactDenoiser(NEAR)), VP(), batch, rng(), None)
    with pytest.raises(ValueError, match="margin"):
        BridgeMatching(Independent(), margin=0.0)


def network() -> TimeMLP:
    return TimeMLP(2, width=64, depth=2)


def test_the_loop_trains_ends_on_a_bridge_and_resumes(tmp_path):
    """Stopped after five steps and called again, it is where an unbroken run is, bit for bit."""
    x0, x1 = NEAR.sample(64, rng(1)).float(), FAR.sample(64, rng(2)).float()

    def run(folder, stop):
        torch.manual_seed(1)
        ends = PreconditionedEnds(network(), network())
        settings = TrainSettings(steps=10, batch_size=16, log_every=1, checkpoint_every=1)
        objective = BridgeMatching(Assignment())
        for progress in train(
            ends, Straight(1.0), x0, settings, objective=objective, source=x1, folder=folder, device="cpu"
        ):
            if progress.step == stop:
                break
        return torch.cat([p.detach().flatten() for p in ends.parameters()])

    whole = run(tmp_path / "a", 10)
    run(tmp_path / "b", 5)
    assert torch.equal(run(tmp_path / "b", 10), whole)


def test_ends_and_processes_do_not_mix():
    x = torch.zeros(4, 2)
    with pytest.raises(TypeError, match="trained on a Bridge"):
        train(PreconditionedEnds(network(), network()), VP(), x)
    with pytest.raises(TypeError, match="trained on a Bridge"):
        train(Preconditioned(network(), EDMPreconditioning()), Straight(), x)
    with pytest.raises(TypeError, match="objective=BridgeMatching"):
        train(PreconditionedEnds(network(), network()), Straight(), x)


@pytest.mark.slow
def test_a_trained_bridge_carries_both_ways():
    """500 steps on pairs of the Gaussian coupling: ends within 15% of the covariance, joint law too, from either end."""
    x0, x1, eps = NEAR.sample(4000, rng(1)).float(), FAR.sample(4000, rng(2)).float(), 1.0
    bridge = Pinned(Brownian(eps, 1e-3))
    torch.manual_seed(0)
    ends = PreconditionedEnds(network(), network(), 0.55, 0.6, 0.0)
    objective = BridgeMatching(GaussianCoupling.fit(x0, x1, eps))
    settings = TrainSettings(steps=500, batch_size=256, learning_rate=2e-3)
    ends = fit(ends, bridge, x0, settings, objective=objective, source=x1, device="cpu")
    plan = entropic_plan(NEAR, FAR, eps).covariance
    halves = (half_bridge(bridge, ends), x1, [2, 3, 0, 1]), (half_bridge(bridge, ends, "far"), x0, [0, 1, 2, 3])
    for reversal, start, axes in halves:
        path = KeyedIncrements(PathSpec.like(start, 0, reversal.start, reversal.stop))
        with torch.no_grad():
            end = reversal.solve(FixedGrid(StochasticHeun(), 30), start, path)
        found = torch.cov(torch.cat((start, end), 1).double().mT)
        wanted = plan[axes][:, axes]
        assert torch.linalg.norm(found - wanted) < 0.15 * torch.linalg.norm(wanted)


@pytest.mark.slow
def test_a_coupled_flow_is_straighter_than_an_independent_one():
    """Noise to a ring by an assignment: one Euler step of the flow is nearer to its end than half of that without a coupling."""
    angle = 2 * math.pi * torch.rand(4000, generator=rng(1))
    x = torch.stack((angle.cos(), angle.sin()), 1)
    bent = {}
    for coupling in (Independent(), Assignment()):
        torch.manual_seed(0)
        model = Coupled(Preconditioned(network(), EDMPreconditioning(0.7)))
        settings = TrainSettings(steps=300, batch_size=256, learning_rate=2e-3)
        model = fit(model, Rectified(), x, settings, objective=CoupledDenoising(coupling), device="cpu")
        flow = velocity_form(Rectified(), model)
        noise = torch.randn(1000, 2, generator=rng(5))
        with torch.no_grad():
            fine, coarse = (flow.solve(FixedGrid(Heun(), n), noise) for n in (40, 1))
        bent[type(coupling).__name__] = (fine - coarse).square().mean().item()
    assert bent["Assignment"] < 0.4 * bent["Independent"]
