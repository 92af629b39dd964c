"""Posteriors and corrected laws by particles against exact ones: law, evidence, sets, calls, and what a model gives."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.guidance import LAWS
from sde_diffusion.denoisers import CallCounter
from sde_diffusion.exact import ClassDenoiser, ExactDenoiser, Gaussian, Mixture, ScalarPosterior, given_linear
from sde_diffusion.exact.problems import two
from sde_diffusion.guidance import CorrectedGuidance, Product, TwistedWeighting
from sde_diffusion.guidance.twists import MomentMatching, Point, Proximal, PseudoInverse, Scalar
from sde_diffusion.kernel import Kernel
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.model import DiffusionModel
from sde_diffusion.observations import Mask, Matrix, OneBit
from sde_diffusion.posteriors import default_twist
from sde_diffusion.sampling import default_weighted_sampler, sample, sample_weighted, samplers
from sde_diffusion.sde import VP
from sde_diffusion.standardization import Standardization
from solvers.particles import Look, Weighting

LINE = Matrix(torch.tensor([0.2], dtype=torch.float64), torch.tensor([[0.6, 0.8]], dtype=torch.float64), 0.4)


def build(nfe: int, sampler=None):
    chosen = sampler or default_weighted_sampler()
    return lambda oracle: chosen.build(VP(), oracle, nfe=nfe, data_std=1.0)


def drawn(weighting: Weighting, n: int, nfe: int = 40, particles: int = 16, event=(2,), **where):
    where = {"dtype": torch.float64, "chunk": n, "seed": 4, **where}
    return sample_weighted(build(nfe, where.pop("sampler", None)), weighting, (n, *event), particles=particles, **where)


def check_law(x: torch.Tensor, exact: Mixture, particles: int) -> None:
    """The weight of each mode and the mean log-density, within 4 standard errors of the sets' means and a bias of sets."""
    wanted = exact.log_prob(exact.sample(20_000, rng(1))).mean()
    shares = exact.responsibilities(x)
    for values, right in [(shares[:, 0], exact.weights[0]), (exact.log_prob(x), wanted)]:
        means = values.reshape(-1, particles).mean(1)
        assert abs(means.mean() - right) < 4 * means.std() / len(means) ** 0.5 + 0.02


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


TWISTS = {
    "moment matching": (MomentMatching(LINE), 16),
    "pseudo-inverse": (PseudoInverse(LINE), 16),
    "proximal": (Proximal(LINE), 64),
    "point": (Point(LINE), 64),
    "tempered point": (Point(LINE, scale=0.3), 64),
}


@pytest.mark.parametrize("name", TWISTS)
def test_whatever_the_twist_the_law_is_the_posterior_and_the_evidence_its_normaliser(name):
    """Two modes that y cannot tell apart by its mean alone; the weights of the modes are what a twist alone gets wrong."""
    twist, particles = TWISTS[name]
    exact, evidence = given_linear(two(), LINE)
    found = drawn(TwistedWeighting(ExactDenoiser(two()), twist), 2048, particles=particles)
    assert abs(found.log_evidence - evidence) < 4 * found.log_evidence_error + 0.02
    check_law(found.x, exact, particles)


@pytest.mark.parametrize("name", ["euler_maruyama", "ddpm", "dpmpp_2m_sde", "dpmpp_3m_sde"])
@pytest.mark.thinned(2)
def test_every_stochastic_method_of_one_call_serves(name):
    """For a Gaussian prior the twist is exact: the weights correct what the steps are off by."""
    law = Gaussian([0.3, -0.2], [[1.0, 0.5], [0.5, 0.6]])
    exact, evidence = given_linear(Mixture([1.0], [[0.3, -0.2]], [law.covariance.tolist()]), LINE)
    found = drawn(
        TwistedWeighting(ExactDenoiser(law), MomentMatching(LINE)), 2048, nfe=60, sampler=getattr(samplers, name)()
    )
    assert abs(found.log_evidence - evidence) < 4 * found.log_evidence_error + 0.05
    for dimension in range(2):
        z = (found.x[:, dimension] - exact.mean[dimension]) / exact.variance[dimension].sqrt()
        assert abs(z.mean()) < 0.15
        assert abs(z.std() - 1) < 0.1


def test_one_bit():
    bit = OneBit(-1, torch.tensor([0.9, 0.3], dtype=torch.float64), 0.3)
    exact = ScalarPosterior(two(), bit)
    found = drawn(TwistedWeighting(ExactDenoiser(two()), Scalar(bit)), 512, nfe=20)
    assert abs(found.log_evidence - exact.log_evidence()) < 4 * found.log_evidence_error + 0.02
    sets = [exact.sample(512, rng(seed)) for seed in (1, 2)]
    assert sliced_wasserstein(found.x, sets[0]) < 2.5 * sliced_wasserstein(sets[0], sets[1])


def test_a_sample_is_a_function_of_its_number_in_any_batch_of_whole_sets():
    """Bit for bit, whatever the number of samples, the chunk and where one begins; figures of sets as well."""
    weighting = TwistedWeighting(ExactDenoiser(two()), MomentMatching(LINE))
    whole = drawn(weighting, 64, nfe=20)
    for n, first, chunk in [(64, 0, 16), (64, 0, 48), (16, 32, 64), (20, 16, None)]:
        part = drawn(weighting, n, nfe=20, first=first, chunk=chunk)
        assert torch.equal(part.x, whole.x[first : first + n])
        some = slice(first // 16, first // 16 + math.ceil(n / 16))
        assert torch.equal(part.set_log_evidence, whole.set_log_evidence[some])
        assert torch.equal(part.ancestors, whole.ancestors[some])
    assert not torch.equal(drawn(weighting, 64, nfe=20, seed=5).x, whole.x)


class _NoWeight(Weighting):
    """The denoiser's own steps."""

    def look(self, question, memory):
        answer = ExactDenoiser(two())(*question)
        return Look(answer, answer, torch.zeros(len(answer), dtype=torch.float64), None)

    last = look


@pytest.mark.parametrize("name", ["euler_maruyama", "ddpm", "dpmpp_3m_sde"])
def test_without_weights_it_is_the_sampler_itself_bit_for_bit(name):
    sampler = getattr(samplers, name)()
    reversal, solver = sampler.build(VP(), ExactDenoiser(two()), nfe=12)
    plain = sample(reversal, solver, (32, 2), 4, dtype=torch.float64, chunk=32)
    assert torch.equal(drawn(_NoWeight(), 32, nfe=12, sampler=sampler).x, plain)


def test_one_call_of_the_denoiser_a_step():
    counted = CallCounter(ExactDenoiser(two()))
    drawn(TwistedWeighting(counted, MomentMatching(LINE)), 32, nfe=12)
    assert (counted.calls, counted.rows) == (12, 12 * 32)
    counted = CallCounter(ClassDenoiser(LAWS["two modes each"]()))
    drawn(CorrectedGuidance(counted, 3.0, {"label": 0}), 32, nfe=12)
    assert (counted.calls, counted.rows) == (12, 12 * 64)


@pytest.mark.thinned(2)
@pytest.mark.parametrize("weight", [2.0, 4.0])
def test_corrected_guidance_draws_the_tilted_law_and_knows_its_normaliser(weight):
    classes = LAWS["two modes each"]()
    found = drawn(CorrectedGuidance(ClassDenoiser(classes), weight, {"label": 0}), 3200, nfe=100, particles=32)
    sets = [classes.tilted(0, weight, 3200, rng(seed)) for seed in (1, 2)]
    assert sliced_wasserstein(found.x, sets[0]) < 2.6 * sliced_wasserstein(sets[0], sets[1])
    x = classes.laws[0].sample(40_000, rng(3))
    ratio = classes.log_class(x, Kernel(1.0, 0.0), 0) - math.log(0.5)  # p(x | c)/p(x): half of the mass is of the class
    wanted = ((weight - 1) * ratio).exp().mean().log().item()
    assert abs(found.log_evidence - wanted) < 4 * found.log_evidence_error + 0.03


def test_weight_one_is_the_conditional_law_without_weights():
    classes = LAWS["two modes each"]()
    found = drawn(CorrectedGuidance(ClassDenoiser(classes), 1.0, {"label": 1}), 64, nfe=20)
    torch.testing.assert_close(found.ess, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(found.set_log_evidence, torch.zeros(4, dtype=torch.float64), rtol=0, atol=1e-9)


def test_the_product_of_two_gaussians():
    """N(-0.4, 0.8 I) N(0.6, 0.5 I) is N(m, v I) with 1/v = 1/0.8 + 1/0.5."""
    laws = [Gaussian.isotropic(-0.4, 0.8**0.5, (2,)), Gaussian.isotropic(0.6, 0.5**0.5, (2,))]
    v = 1 / (1 / 0.8 + 1 / 0.5)
    mean = v * (-0.4 / 0.8 + 0.6 / 0.5)
    found = drawn(Product([ExactDenoiser(law) for law in laws]), 3200, nfe=100, particles=32).x
    error = found.reshape(-1, 32, 2).mean(1).std(0) / 10
    assert ((found.mean(0) - mean).abs() < 4 * error + 0.01).all()
    torch.testing.assert_close(found.var(0), torch.full((2,), v).double(), rtol=0.08, atol=0)


def model_of_two() -> tuple[DiffusionModel, Mixture]:
    """An exact model in standardised coordinates, and the law of its data."""
    shift, scale = torch.tensor([5.0, -3.0]).double(), torch.tensor([2.0, 0.5]).double()
    law = two()
    moved = law.centres * scale + shift
    covariances = torch.diag_embed(law.spectrum * scale**2)
    model = DiffusionModel(VP(), ExactDenoiser(law.to(torch.float32)), (2,), Standardization(shift, scale))
    return model, Mixture(law.weights, moved, covariances)


def test_a_model_gives_posteriors_in_the_units_of_its_data():
    model, law = model_of_two()
    observation = Mask(torch.tensor([-3.1]), torch.tensor([False, True]), 0.1)
    exact, evidence = given_linear(law, Mask(observation.y.double(), observation.seen, 0.1))
    found = model.posterior(observation, 2048, nfe=40, chunk=2048)
    assert found.x.dtype == torch.float32
    assert abs(found.log_evidence - evidence) < 4 * found.log_evidence_error + 0.03
    check_law(found.x.double(), exact, 16)
    same = model.posterior(observation, 16, nfe=40, twist=PseudoInverse)
    assert same.x.shape == (16, 2)
    assert math.isnan(same.log_evidence_error)


def test_sets_that_rest_on_one_particle_are_warned_of():
    """The noise is far below the level at which the process ends: the samples are too wide, and the weights show it."""
    model, law = model_of_two()
    observation = Mask(torch.tensor([-3.1]), torch.tensor([False, True]), 1e-4)
    exact = given_linear(law, Mask(observation.y.double(), observation.seen, 1e-4))[0]
    with pytest.warns(UserWarning, match="more particles or a larger nfe"):
        found = model.posterior(observation, 512, nfe=10)
    assert found.x[:, 1].std() > 5 * exact.variance[1].sqrt()


def test_few_calls_of_corrected_guidance_are_warned_of():
    classes = LAWS["two modes each"]()
    model = DiffusionModel(
        VP(), ClassDenoiser(classes), (2,), Standardization(torch.zeros(2), torch.ones(2)), class_names=("a", "b")
    )
    with pytest.warns(UserWarning, match=r"with 20 calls .*ramped_cfg\(weight=2\)"):
        model.corrected(2.0, 32, nfe=20, label=0)


def test_the_twist_that_suits_an_observation():
    many = torch.zeros(65)
    assert isinstance(default_twist(Mask(many, torch.ones(65, dtype=torch.bool), 0.1)), PseudoInverse)
    assert isinstance(default_twist(LINE), MomentMatching)
    assert isinstance(default_twist(OneBit(1, torch.ones(2), 0.1)), Scalar)


def test_refusals():
    model, _ = model_of_two()
    seen = Mask(torch.zeros(1), torch.tensor([True, False]), 0.1)
    for wrong, kind, words in [
        (lambda: model.posterior(torch.zeros(2), 4), TypeError, "write Mask"),
        (lambda: model.posterior(seen, 16, particles=16, chunk=20), ValueError, "multiples of the 16"),
        (lambda: model.posterior(seen, 16, first=8), ValueError, "multiples of the 16"),
        (lambda: model.posterior(seen, 0), ValueError, "N >= 1"),
        (lambda: model.posterior(seen, 2.5), ValueError, "N >= 1"),
        (lambda: model.posterior(seen, 16, sampler="heun", nfe=10), TypeError, "dpmpp_2m_sde"),
        (lambda: model.posterior(seen, 16, sampler="adaptive_sde"), TypeError, "grid"),
        (lambda: model.corrected(2.0, 16), ValueError, "condition"),
        (lambda: CorrectedGuidance(model.denoiser, 2.0, {}, start=0.1, end=0.3), ValueError, "range"),
    ]:
        with pytest.raises(kind, match=words):
            wrong()
