"""Particle sets: resampling, weights, evidence; and the ratio of two transitions for every method that is allowed."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from solvers.equations import ODE, ItoSDE, MarkovChain, SemilinearSDE
from solvers.methods.ancestral import Ancestral
from solvers.methods.euler_maruyama import EulerMaruyama
from solvers.methods.exponential_euler import ExponentialEuler
from solvers.methods.stochastic_exponential_adams import StochasticExponentialAdams
from solvers.methods.stochastic_heun import StochasticHeun
from solvers.multistep import History
from solvers.particles import Look, ParticleSets, Weighting, systematic, weighted_paths
from solvers.particles.sets import take
from solvers.particles.weighted import check_weighted, log_ratio
from solvers.stepwise import Oracle, first_question
from solvers.wiener import KeyedIncrements, PathSpec


def test_systematic_resampling_is_unbiased_and_off_by_less_than_one():
    weights = torch.rand(5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = weights / weights.sum(1, keepdim=True)
    us = (torch.arange(200) + 0.5).double() / 200
    counts = torch.stack([torch.nn.functional.one_hot(systematic(weights, u.expand(5)), 7).sum(1) for u in us]).double()
    assert ((counts - 7 * weights).abs() < 1).all()
    torch.testing.assert_close(counts.mean(0), 7 * weights, rtol=0, atol=1e-2)
    assert torch.equal(systematic(torch.full((1, 7), 1 / 7).double(), torch.tensor([0.3])), torch.arange(7)[None])


def test_what_travels_with_a_particle_is_taken_with_it():
    table = ((0.5, (1.0, 2.0)), (0.2, (3.0,)))
    kept = (None, History(table, 3, (torch.arange(4.0), torch.arange(8.0).reshape(4, 2))))
    found = take(kept, torch.tensor([3, 3, 0, 1]))
    assert isinstance(found[1], History)
    assert found[1].table is table
    assert found[1].fields[0].tolist() == [3, 3, 0, 1]
    assert found[1].fields[1][:, 0].tolist() == [6, 6, 0, 2]


def sets_of(count: int, size: int, threshold: float = 0.5) -> ParticleSets:
    return ParticleSets(torch.arange(count), size, 3, threshold)


def test_weights_are_kept_until_a_set_is_resampled_and_its_evidence_is_their_product():
    """Two sets: one with nearly equal weights, one with a single heavy particle."""
    sets, logs = sets_of(8, 4), torch.tensor([0.0, 0.1, 0.2, 0.3, -9.0, 1.0, -9.0, -9.0], dtype=torch.float64)
    particles = sets.weigh(sets.begin(torch.arange(8.0), torch.arange(8)), logs)
    after = sets.resample(particles, 0)
    assert after.log_weights.tolist() == [0.0, 0.1, 0.2, 0.3, 0, 0, 0, 0]
    assert after.x.tolist() == [0, 1, 2, 3, 5, 5, 5, 5]
    assert after.kept.tolist() == [0, 1, 2, 3, 5, 5, 5, 5]
    last = sets.resample_all(sets.weigh(after, torch.tensor([math.log(2.0)] * 8).double()), 1)
    wanted = [(2 * logs[:4].exp().mean()).log(), logs[4:].exp().mean().log() + math.log(2)]
    torch.testing.assert_close(last.log_evidence, torch.stack(wanted))
    assert last.ancestors[4:].tolist() == [1, 1, 1, 1]
    assert last.lowest_ess[1].item() == pytest.approx(0.25, abs=1e-3)
    assert last.lowest_ess[0] > 0.9


def test_the_log_ratio_is_that_of_two_normal_densities():
    n, delta, tau = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64), 0.4, 0.7
    free = torch.distributions.Normal(torch.zeros(()).double(), tau)
    guided = torch.distributions.Normal(torch.tensor(delta).double(), tau)
    x = delta + tau * n
    wanted = (free.log_prob(x) - guided.log_prob(x)).flatten(1).sum(1)
    torch.testing.assert_close(log_ratio(n, torch.full_like(n, delta / tau)), wanted, rtol=1e-6, atol=1e-6)


class _Pushed(Weighting):
    """Steps with another field than the free one, whose answer is -x; no other weight."""

    def look(self, question, memory):
        (x, _) = question
        return Look(-x + 0.4 * torch.cos(2 * x), -x, torch.zeros(len(x), dtype=torch.float64), None)

    def last(self, question, memory):
        return Look(question[0], None, torch.zeros(len(question[0]), dtype=torch.float64), None)


EQUATIONS = {
    "Euler-Maruyama": (EulerMaruyama(), lambda ask: ItoSDE(ask, lambda t: 1.2)),
    "ancestral": (Ancestral(), lambda ask: MarkovChain(lambda x, t, s: x + (s - t) * ask(x, t), lambda t, s: 0.5)),
    "exponential Euler": (ExponentialEuler(), lambda ask: SemilinearSDE(-1.0, ask, lambda t, s: 0.5)),
    "2 fields": (StochasticExponentialAdams(2), lambda ask: SemilinearSDE(-1.0, ask, lambda t, s: 0.5)),
    "3 fields": (StochasticExponentialAdams(3), lambda ask: SemilinearSDE(-1.0, ask, lambda t, s: 0.5)),
}


TIMES, COUNT, SIZE = [0.0, 0.2, 0.5, 0.7, 1.0, 1.4], 65536, 64


@pytest.mark.parametrize("threshold", [0.02, 0.8], ids=["never resampled", "often resampled"])
@pytest.mark.parametrize("name", EQUATIONS)
def test_weighted_paths_have_the_law_of_the_free_ones(name, threshold):
    """The mean weight is 1, and the moments of the end are the free method's own, whose field is -x."""
    (method, make), oracle = EQUATIONS[name], Oracle()
    x = torch.randn(COUNT, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    path, sets = KeyedIncrements(PathSpec.like(x, 5, 0.0, 1.4)), sets_of(COUNT, SIZE, threshold)
    found = weighted_paths(method, make(oracle), oracle, lambda x: oracle(x, 0.0), x, TIMES, path, sets, _Pushed())
    z = found.log_evidence.exp()
    assert abs(z.mean() - 1) < 4 * z.std() / len(z) ** 0.5
    free = free_end(name, x)
    for function in (lambda v: v, torch.square, torch.cos):
        ours, theirs = (function(v).squeeze(1) for v in (found.x, free))
        by_set = ours.reshape(-1, SIZE).mean(1)
        error = (by_set.var() / len(by_set) + theirs.var() / len(theirs)).sqrt()
        assert abs(by_set.mean() - theirs.mean()) < 4 * error


def free_end(name: str, x: Tensor) -> Tensor:
    """The method's own steps with the field -x, from other noise."""
    method, make = EQUATIONS[name]
    equation = make(lambda x, t: -x)
    other = KeyedIncrements(PathSpec.like(x, 99, 0.0, 1.4))
    state = method.init(equation, x, TIMES)
    for t, s in pairwise(TIMES):
        x, state = method.step(equation, x, t, s, other, state)
    return x


def test_steps_without_a_density_are_refused():
    two_stages = ItoSDE(lambda x, t: -x, lambda t: 1.0)
    with pytest.raises(TypeError, match="dpmpp_2m_sde"):
        check_weighted(StochasticHeun(), two_stages, [0.0, 1.0])
    with pytest.raises(TypeError, match="dpmpp_2m_sde"):
        check_weighted(EulerMaruyama(), ODE(lambda x, t: -x), [0.0, 1.0])
    with pytest.raises(ValueError, match="noise in every step"):
        check_weighted(EulerMaruyama(), ItoSDE(lambda x, t: -x, lambda t: float(t > 0)), [0.0, 1.0])
    with pytest.raises(TypeError, match="does not ask"):
        first_question(Oracle(), lambda: 3)


@pytest.mark.parametrize(
    ("indices", "size", "threshold", "words"),
    [
        (torch.arange(8), 3, 0.5, "no whole sets"),
        (torch.arange(8), 1, 0.5, "at least 2"),
        (torch.arange(8), 4, 0.0, "a share"),
        (torch.arange(2, 10), 4, 0.5, "multiples"),
        (torch.arange(8).flip(0), 4, 0.5, "in order"),
    ],
)
def test_what_is_no_set_is_refused(indices, size, threshold, words):
    with pytest.raises(ValueError, match=words):
        ParticleSets(indices, size, 0, threshold)
