"""A solver that is asked one question at a time gives what it gives when it asks itself, bit for bit, at the same price."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.sampling import samplers
from sde_diffusion.sampling.sampler import FormSampler, RuleSampler
from sde_diffusion.sampling.stepwise import ask
from sde_diffusion.sde import VP
from solvers import ODE, FixedGrid, FreshIncrements, Heun, ItoSDE
from solvers.adaptive import Adaptive
from solvers.methods.dopri5 import Dopri5
from solvers.methods.euler_maruyama import EulerMaruyama
from solvers.stepwise import Oracle, inside_out, stepwise
from solvers.wiener import PathSpec

LAW = Gaussian(torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([[1.0, 0.4], [0.4, 0.5]]).double())
FIXED = [name for name in samplers.names() if name not in ("adaptive_ode", "adaptive_sde")]
X = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


class Counted(ExactDenoiser):
    """The exact denoiser, which keeps what it was asked."""

    def __init__(self):
        super().__init__(LAW)
        self.asked = []

    def forward(self, x_t, kernel, **condition):
        self.asked.append((x_t, kernel))
        return super().forward(x_t, kernel, **condition)


def path_of(reversal, solver):
    spec = PathSpec.like(X, 7, reversal.start, reversal.stop)
    return solver.noise(spec) if reversal.equation.stochastic else None


def answered(questions, denoiser, asked):
    """What the questions end with, each answered by the denoiser and kept in `asked`."""
    answer = None
    while True:
        try:
            asked.append(questions.send(answer))
        except StopIteration as end:
            return end.value
        answer = denoiser(*asked[-1])


@pytest.mark.parametrize("nfe", [12, 25])
@pytest.mark.parametrize("name", FIXED)
def test_every_sampler_asks_the_same_and_ends_the_same(name, nfe):
    """Starters, several stages, histories, chains and correctors included; noise is the same though steps run again."""
    sampler, sde, denoiser = samplers.parse(name), VP(), Counted()
    assert isinstance(sampler, FormSampler | RuleSampler)
    reversal, solver = sampler.build(sde, denoiser, nfe=nfe)
    expected = reversal.finish(reversal.solve(solver, X, path_of(reversal, solver)), reversal.stop)
    asked, oracle = list(denoiser.asked), Oracle()
    built = sampler.build(sde, oracle, nfe=nfe)
    mine = []
    assert torch.equal(answered(ask(built, oracle, X, path_of(*built)), ExactDenoiser(LAW), mine), expected)
    assert len(mine) == len(asked) <= nfe
    assert all(torch.equal(a, x) and k == kernel for (a, k), (x, kernel) in zip(mine, asked, strict=True))


def test_a_computation_runs_once_more_than_it_asks():
    """Three questions: four runs, of which the last one ends; the answers are used in their order."""
    oracle, runs = Oracle(), []

    def compute():
        runs.append(None)
        return oracle(1) + 10 * oracle(2) + 100 * oracle(3)

    questions = inside_out(oracle, compute)
    assert next(questions) == (1,)
    assert questions.send(4) == (2,)
    assert questions.send(5) == (3,)
    with pytest.raises(StopIteration) as end:
        questions.send(6)
    assert end.value.value == 654
    assert len(runs) == 4


def test_what_cannot_be_turned_inside_out_is_refused():
    oracle = Oracle()
    with pytest.raises(TypeError, match="take a FixedGrid"):
        next(stepwise(Adaptive(Dopri5(), 1e-3, 1e-3), ODE(oracle), X, 1.0, 0.0, oracle))
    path, equation = FreshIncrements(PathSpec.like(X, 0, 1.0, 0.0)), ItoSDE(oracle, lambda t: 1.0)
    with pytest.raises(TypeError, match="take KeyedIncrements"):
        next(stepwise(FixedGrid(EulerMaruyama(), 3), equation, X, 1.0, 0.0, oracle, path))
    with pytest.raises(TypeError, match="Heun integrates"):
        next(stepwise(FixedGrid(Heun(), 3), ItoSDE(oracle, lambda t: 1.0), X, 1.0, 0.0, oracle))
