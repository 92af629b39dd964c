"""Sample i of a seed is one sample: whatever the number, the batch, the position in it, or the kind of solver."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import (
    ancestral,
    annealed_langevin,
    data_form,
    predictor_corrector,
    probability_flow,
    reverse_sde,
)
from sde_diffusion.sampling.sample import initial_state, sample, sample_chunks
from sde_diffusion.sde import VP, Brownian
from solvers import (
    Ancestral,
    AreaTree,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialEuler,
    FixedGrid,
    FreshIncrements,
    Heun,
    KeyedIncrements,
    StochasticHeun,
    WienerTree,
)
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.methods.sra1 import SRA1
from solvers.wiener import PathSpec

SDE = VP()
LINEAR = Gaussian.isotropic(0.3, 0.8, (2,))


def network() -> Preconditioned:
    torch.manual_seed(3)
    net = TimeMLP(features=2, width=32, depth=2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return Preconditioned(net, EDMPreconditioning()).eval()


class Elementwise(Denoiser):
    """A denoiser of additions and multiplications only: bit-exact in any batch, so that the solver is what is tested."""

    def forward(self, x, kernel):
        return kernel.score(x, 0.25 * x)


SAMPLERS = {
    "reverse_sde-euler_maruyama": (lambda d: reverse_sde(SDE, d), EulerMaruyama()),
    "reverse_sde-stochastic_heun": (lambda d: reverse_sde(SDE, d, 0.7), StochasticHeun()),
    "flow-heun": (lambda d: probability_flow(SDE, d), Heun()),
    "data-adams": (lambda d: data_form(SDE, d), ExponentialAdams(2)),
    "data-sde": (lambda d: data_form(SDE, d, 1.0), ExponentialEuler()),
    "ancestral": (lambda d: ancestral(SDE, d), Ancestral()),
    "langevin": (lambda d: annealed_langevin(SDE, d), EulerMaruyama()),
    "corrected": (
        lambda d: predictor_corrector(reverse_sde(SDE, d), SDE, d),
        PredictorCorrector(EulerMaruyama(), snr=0.05),
    ),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_solver_operations_are_bit_identical_whatever_the_batch(name):
    """No padding, no chunks: the same five samples inside batches of other sizes, at other positions, bit for bit."""
    make, method = SAMPLERS[name]
    reversal, solver = make(Elementwise()), FixedGrid(method, 8)

    def solve(indices):
        spec = PathSpec(7, torch.tensor(indices), (3, 2), reversal.start, reversal.stop)
        noise = WienerTree(spec) if reversal.equation.stochastic else None
        return reversal.solve(solver, initial_state(reversal, spec), noise)

    whole = solve(list(range(37)))
    for indices in ([4], [36, 4, 0], list(range(36, -1, -1)), [5] * 3 + [4]):
        assert torch.equal(solve(indices), whole[indices])


@pytest.mark.parametrize("name", SAMPLERS)
def test_samples_of_a_network_are_bit_identical_whatever_the_number(name):
    make, method = SAMPLERS[name]
    reversal, solver = make(network()), FixedGrid(method, 5)
    whole = sample(reversal, solver, (50, 2), seed=1, chunk=16)
    assert torch.equal(sample(reversal, solver, (3, 2), seed=1, chunk=16), whole[:3])
    assert torch.equal(sample(reversal, solver, (7, 2), seed=1, first=21, chunk=16), whole[21:28])
    assert torch.equal(torch.cat(list(sample_chunks(reversal, solver, (50, 2), seed=1, chunk=16))), whole)
    assert not torch.equal(sample(reversal, solver, (3, 2), seed=2, chunk=16), whole[:3])


def test_ten_and_a_thousand_steps_see_one_path():
    """The strong error between 10-fold finer runs falls like the step: only one path for all of them can do that."""
    reversal = reverse_sde(SDE, ExactDenoiser(LINEAR)).without_final_denoise()

    def run(steps, noise=WienerTree):
        return sample(reversal, FixedGrid(EulerMaruyama(), steps), (64, 2), noise=noise, dtype=torch.float64)

    reference = run(1000)
    apart = [(run(n) - reference).square().mean().sqrt().item() for n in (100, 400)]
    assert apart[1] < apart[0] / 3
    assert apart[1] < 0.02
    assert (run(400, KeyedIncrements) - reference).square().mean().sqrt() > 0.5


def test_a_method_that_needs_areas_sees_one_path_too():
    """SRA1 at 64 and at 256 steps of one seed: 30 times nearer to each other than with areas drawn anew."""
    reversal = reverse_sde(SDE, ExactDenoiser(LINEAR)).without_final_denoise()

    def distance(noise):
        ends = [sample(reversal, FixedGrid(SRA1(), n), (64, 2), noise=noise, dtype=torch.float64) for n in (64, 256)]
        return (ends[0] - ends[1]).square().mean().sqrt().item()

    assert 30 * distance(AreaTree) < distance(KeyedIncrements)


def test_a_path_without_areas_is_refused_at_the_door():
    reversal = reverse_sde(SDE, ExactDenoiser(LINEAR))
    with pytest.raises(TypeError, match=r"SRA1 needs the Levy area .* WienerTree does not .* noise=AreaTree"):
        sample(reversal, FixedGrid(SRA1(), 4), (8, 2), noise=WienerTree)


def test_initial_states_have_the_priors_law():
    """20000 states against N(alpha m, alpha^2 v + sigma^2): mean and deviation within 5 standard errors."""
    sde = Brownian(horizon=4.0)
    prior = sde.prior(torch.tensor([2.0, -1.0]), 0.5)
    reversal = reverse_sde(sde, ExactDenoiser(LINEAR), prior=prior)
    x = initial_state(reversal, PathSpec(0, torch.arange(20_000), (2,), 0.0, 1.0, torch.float64))
    error = prior.std / 20_000**0.5
    torch.testing.assert_close(x.mean(0), torch.tensor([2.0, -1.0], dtype=x.dtype), rtol=0, atol=5 * error)
    torch.testing.assert_close(x.std(0), torch.full((2,), 4.5**0.5, dtype=x.dtype), rtol=0, atol=4 * error)


def test_the_prior_and_the_path_of_a_sample_are_independent():
    """Correlation of initial state and first increment over 20000 samples, within 5 standard errors."""
    reversal = reverse_sde(SDE, ExactDenoiser(LINEAR))
    spec = PathSpec(0, torch.arange(20_000), (1,), reversal.start, reversal.stop, torch.float64)
    x = initial_state(reversal, spec)
    for path in (WienerTree(spec), KeyedIncrements(spec)):
        dw = path.increment(reversal.start, 0.9 * reversal.start)
        assert abs(torch.corrcoef(torch.cat([x, dw], 1).T)[0, 1].item()) < 5 / 20_000**0.5


def test_fresh_increments_serve_as_noise_too():
    x = sample(reverse_sde(SDE, ExactDenoiser(LINEAR)), FixedGrid(EulerMaruyama(), 50), (512, 2), noise=FreshIncrements)
    assert x.mean().item() == pytest.approx(0.3, abs=0.2)
    assert x.std().item() == pytest.approx(0.8, abs=0.15)


@pytest.mark.parametrize(("shape", "chunk"), [((4,), 8), ((0, 2), 8), ((4, 2), 0)])
def test_impossible_shapes_are_refused(shape, chunk):
    with pytest.raises(ValueError, match=r"shape is \(N, \*E\)"):
        sample(reverse_sde(SDE, ExactDenoiser(LINEAR)), FixedGrid(EulerMaruyama(), 2), shape, chunk=chunk)


def test_float64_is_kept():
    reversal = probability_flow(SDE, ExactDenoiser(LINEAR))
    assert sample(reversal, FixedGrid(Heun(), 4), (2, 2), dtype=torch.float64).dtype == torch.float64
