"""Couplings: marginals, costs and laws of the pairs, each against something that it was not computed from."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import pytest
import torch

from sde_diffusion.couplings import (
    Assignment,
    Coupling,
    FromFar,
    FromNear,
    GaussianCoupling,
    Independent,
    Pairs,
    PotentialsCoupling,
    Sinkhorn,
    WithinLabels,
    assign,
    fit_potentials,
)
from sde_diffusion.couplings.potentials import loss
from sde_diffusion.exact import Gaussian, entropic_plan, random_potentials
from sde_diffusion.exact.entropic import half_squared_distances
from sde_diffusion.testing import check_coupling

CONFORMING = [
    Independent(),
    Assignment(),
    Sinkhorn(1.0),
    Sinkhorn(1e-2),
    WithinLabels(Assignment()),
    WithinLabels(Sinkhorn(0.1)),
]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


@pytest.mark.parametrize("coupling", CONFORMING, ids=repr)
def test_a_coupling_keeps_both_marginals(coupling):
    report = check_coupling(coupling)
    assert report.ok, report


def test_couplings_that_make_points_keep_the_law():
    x0, x1 = normal(400, 3), 0.7 * normal(400, 3, seed=1) + 1
    report = check_coupling(GaussianCoupling.fit(x0, x1, 0.5), near=x0, far=x1)
    assert report.ok, report
    potentials = random_potentials(3, 0.5)
    x1 = potentials.sample(x0, rng(2))
    report = check_coupling(PotentialsCoupling(potentials), near=x0, far=x1)
    assert report.ok, report
    assert check_coupling(FromFar(lambda x, generator: (x - 1) / 0.7), near=x0, far=0.7 * x0 + 1).ok
    assert not check_coupling(FromNear(lambda x, generator: 2 * x), near=x0, far=x0).ok


@dataclass(frozen=True)
class Nearest(Coupling):
    """A plan at eps = 0 that forgot its second marginal: what an underflowing Sinkhorn leaves."""

    def couple(self, x0, x1, generator, label):
        return Pairs.of_rows(x0, x1, torch.arange(len(x0)), half_squared_distances(x0, x1).argmin(1))


@dataclass(frozen=True)
class OldRows(Independent):
    """The points are permuted, the rows are not."""

    def couple(self, x0, x1, generator, label):
        found = Independent.couple(self, x0, x1, generator, label)
        return Pairs(found.near, found.far, found.near_rows, found.near_rows)


@dataclass(frozen=True)
class Labelled(Assignment):
    """It is given labels and does not use them."""

    uses_label = True


@dataclass(frozen=True)
class Writes(Independent):
    """It centres the batch in place."""

    def couple(self, x0, x1, generator, label):
        x0 -= 1
        return Independent.couple(self, x0, x1, generator, label)


@dataclass(frozen=True)
class Global(Coupling):
    """It does not use the generator."""

    def couple(self, x0, x1, generator, label):
        return Independent().couple(x0, x1, None, label)


@pytest.mark.global_rng
@pytest.mark.parametrize(
    ("broken", "check"),
    [
        (Nearest(), "far marginal is the batch's"),
        (OldRows(), "far_rows are the rows of far"),
        (Labelled(), "x1 does not depend on the label"),
        (Writes(), "inputs are left alone"),
        (Global(), "the same seed gives the same pairs"),
    ],
    ids=lambda case: type(case).__name__,
)
def test_a_broken_coupling_is_found(broken, check):
    assert check in [finding.check for finding in check_coupling(broken).failures]


@pytest.mark.parametrize("d", [1, 2, 30])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_the_assignment_is_optimal(d, scale):
    """Against plain shortest augmenting paths, on costs of several sizes and with equal points among them."""
    from scipy.optimize import linear_sum_assignment

    x0, x1 = scale * normal(60, d), scale * (normal(60, d, seed=1) + 3)
    x1[:5] = x1[5:10]
    cost = half_squared_distances(x0, x1)
    mine, (i, j) = assign(cost), linear_sum_assignment(cost.numpy())
    assert sorted(mine.tolist()) == list(range(60))
    assert cost[torch.arange(60), mine].sum() <= cost[i, j].sum() * (1 + 1e-12)


def test_the_assignment_of_few_points_is_the_best_permutation():
    cost = normal(6, 6).abs()
    best = min(sum(cost[i, j].item() for i, j in enumerate(order)) for order in itertools.permutations(range(6)))
    assert abs(cost[torch.arange(6), assign(cost)].sum().item() - best) < 1e-12


def test_on_a_line_the_assignment_sorts():
    x0, x1 = normal(50, 1), normal(50, 1, seed=1)
    pairs = Assignment()(x0, x1, None)
    assert torch.equal(pairs.far[x0[:, 0].argsort()], x1.sort(0).values)


@pytest.mark.parametrize("eps", [1.0, 1e-1, 1e-2, 1e-3, 1e-4])
def test_sinkhorn_costs_between_the_assignment_and_independence(eps):
    """Exact marginals at every eps (else a ValueError), and a cost that falls to the optimum with eps."""
    x0, x1 = normal(64, 2), 0.3 * normal(64, 2, seed=1) + 1
    table = half_squared_distances(x0, x1)
    best = table[torch.arange(64), assign(table)].mean()
    costs = torch.stack(
        [(p.near - p.far).square().sum(1).mean() / 2 for p in (Sinkhorn(eps)(x0, x1, rng(s)) for s in range(20))]
    )
    bound = eps * torch.tensor(64.0).log()  # entropy of the plan over its least
    assert best - 4 * costs.std() / 20**0.5 <= costs.mean() <= best + bound + 4 * costs.std() / 20**0.5


def test_the_gaussian_coupling_draws_the_plan():
    near, far = Gaussian([0.0, 1.0], [[1.0, 0.3], [0.3, 0.5]]), Gaussian([2.0, 0.0], [[0.4, -0.1], [-0.1, 0.9]])
    x0 = near.sample(40_000, rng(1))
    pairs = GaussianCoupling.of(near, far, 0.5)(x0, x0, rng(2))
    found = torch.cov(torch.cat((pairs.near, pairs.far), 1).mT)
    assert (found - entropic_plan(near, far, 0.5).covariance).abs().max() < 4 * 1.5 / 200


def test_one_potential_has_its_least_loss_at_the_gaussian_plan():
    """The loss knows the moments alone: its gradient vanishes at the plan of the samples' own."""
    x0, x1, eps = normal(500, 3) @ normal(3, 3, seed=4), normal(500, 3, seed=1) + 1, 0.7
    near, far = (Gaussian(x.mean(0), torch.cov(x.mT, correction=0)) for x in (x0, x1))
    plan = GaussianCoupling.of(near, far, eps)
    lower = torch.linalg.cholesky((plan.slope + plan.slope.mT) / 2)[None].requires_grad_()
    centre = (plan.far_mean - plan.slope @ plan.near_mean)[None].requires_grad_()
    loss(torch.zeros(1, dtype=torch.float64), centre, lower, x0, x1, eps).backward()
    assert centre.grad is not None
    assert lower.grad is not None
    assert centre.grad.abs().max() < 1e-9
    assert lower.grad.tril().abs().max() < 1e-9


@pytest.mark.slow
def test_fitted_potentials_come_near_their_own():
    """Samples of a known bridge in the plane: the conditional means of the fit are within 10% of the far deviation."""
    own = random_potentials(2, 0.3, modes=3, seed=1)
    x0 = normal(3000, 2)
    x1 = own.sample(normal(3000, 2, seed=1), rng(2))
    found = fit_potentials(x0, x1, 0.3, components=6, steps=600)
    x = normal(500, 2, seed=3)
    error = (found.far_mean(x) - own.far_mean(x)).square().mean().sqrt() / x1.std()
    assert error < 0.1


def test_wrong_batches_are_refused_in_one_sentence():
    x = normal(4, 2)
    for coupling in (Independent(), Assignment()):
        with pytest.raises(ValueError, match="one size"):
            coupling(x, x[:3], rng())
    with pytest.raises(ValueError, match="one shape"):
        Sinkhorn(1.0)(x, x[:, :1], rng())
    with pytest.raises(ValueError, match="NaN"):
        Assignment()(x, x / 0.0, rng())
    with pytest.raises(TypeError, match="floating point"):
        Assignment()(x.long(), x.long(), rng())
    with pytest.raises(ValueError, match="WithinLabels"):
        Assignment()(x, x, rng(), torch.zeros(4, dtype=torch.long))
    with pytest.raises(ValueError, match="integer labels"):
        WithinLabels(Assignment())(x, x, rng())
    with pytest.raises(ValueError, match="eps > 0"):
        Sinkhorn(0.0)
    with pytest.raises(ValueError, match="components"):
        fit_potentials(x, x, 1.0, components=5)
    with pytest.raises(ValueError, match="one finite point"):
        FromFar(lambda x, generator: x[:1])(x, x, rng())
