"""The exact denoiser as a module, and the named problems."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from sde_diffusion.exact import Empirical, ExactDenoiser, Gaussian, Mixture, problems
from sde_diffusion.kernel import Kernel
from tests.exact.exact_cases import close, laws, noisy, normal, points, rng

ALL = {**laws(), "points": points()}


@pytest.mark.parametrize("name", ALL)
def test_denoiser_is_the_law_and_moves_alone(name):
    law, kernel = ALL[name], Kernel(0.6, 0.8)
    x = noisy(law, kernel)
    denoiser = ExactDenoiser(law)
    expected = law.denoise(x, kernel)
    assert torch.equal(denoiser(x, kernel), expected)
    single = copy.deepcopy(denoiser).to(torch.float32)
    assert {b.dtype for b in single.buffers()} == {single.law.dtype} == {torch.float32}
    assert close(single(x.float(), kernel), expected.float(), 1e-5)
    assert torch.equal(denoiser(x, kernel), expected)
    assert law.dtype == torch.float64


@pytest.mark.parametrize("name", ALL)
def test_every_tensor_follows_the_module(name):
    """On the meta device an operand left behind on the CPU is an error."""
    law = ALL[name]
    x = noisy(law, Kernel(0.6, 0.8))
    levels = torch.linspace(0.1, 0.9, len(x), dtype=torch.float64)
    for kernel in (Kernel(0.6, 0.8), Kernel(levels.to("meta"), levels.to("meta"))):
        moved = ExactDenoiser(law).to("meta")(x.to("meta"), kernel)
        assert moved.device.type == "meta"
        assert moved.shape == x.shape


@pytest.mark.parametrize("name", ALL)
def test_state_dict_carries_the_law(name):
    law, kernel = ALL[name], Kernel(0.6, 0.8)
    x = noisy(law, kernel)
    blank = ExactDenoiser(law.with_tensors({k: torch.ones_like(v) for k, v in law.tensors().items()}))
    assert not torch.equal(blank(x, kernel), law.denoise(x, kernel))
    blank.load_state_dict(ExactDenoiser(law).state_dict())
    assert torch.equal(blank(x, kernel), law.denoise(x, kernel))


def test_a_law_knows_no_condition():
    with pytest.raises(TypeError, match="label"):
        ExactDenoiser(points())(normal(2, 1, 3), Kernel(1.0, 1.0), label=3)


def test_two():
    law = problems.two()
    assert torch.allclose(law.mean, torch.tensor([0.4, 0.35]).double())
    offsets = torch.tensor([2.0, 0.5]).double()
    expected = 0.04 * torch.eye(2) + 0.21 * torch.outer(offsets, offsets)
    assert torch.allclose(law.covariance, expected)


def test_ring8_has_the_symmetry_of_an_octagon():
    law, x = problems.ring8(), normal(10, 2)
    half = math.sqrt(0.5)
    turn = torch.tensor([[half, -half], [half, half]], dtype=torch.float64)
    assert close(law.log_prob(x @ turn), law.log_prob(x), 1e-12)
    assert torch.allclose(law.covariance, (0.5 + 0.05**2) * torch.eye(2).double())
    assert sorted(law.classify(law.centres).tolist()) == list(range(8))


def test_mixture64_is_standardised_and_decided_by_its_seed():
    law = problems.mixture64()
    assert bool(law.mean.abs().max() < 1e-14)
    assert abs(float(law.variance.mean()) - 1) < 1e-12
    values = law.spectrum.sort(-1, descending=True).values
    decay = torch.arange(1, 65).double() ** -2
    assert torch.allclose(values / values[:, :1], decay.expand(10, 64), rtol=1e-9)
    between = law.weights @ (law.centres.square().mean(-1))
    assert 0.3 < float(between) < 0.7
    assert torch.equal(law.centres, problems.mixture64(0).centres)
    assert not torch.allclose(law.centres, problems.mixture64(1).centres)


def test_digits():
    law = problems.digits_empirical()
    assert law.event_shape == (1, 8, 8)
    assert float(law.points.min()) == -1
    assert float(law.points.max()) == 1
    assert len(law.points) == 1797
    # Ink lies in the middle: the left-most column is white in nearly every image.
    assert bool(law.mean[0, :, 0].mean() < -0.9 < law.mean[0, :, 3].mean())


GOOD = Kernel(1.0, 1.0)
DOORS = {
    "covariance of another size": (lambda: Gaussian([0.0, 0.0], torch.eye(3)), r"\(2, 2\)"),
    "asymmetric": (lambda: Gaussian([0.0, 0.0], [[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
    "indefinite": (lambda: Gaussian([0.0, 0.0], [[1.0, 2.0], [2.0, 1.0]]), "semi-definite"),
    "indefinite mode": (lambda: Mixture([1.0], [[0.0, 0.0]], [[[1.0, 2.0], [2.0, 1.0]]]), "semi-definite"),
    "not finite": (lambda: Gaussian([0.0, math.nan], torch.eye(2)), "finite"),
    "negative deviation": (lambda: Gaussian.isotropic(0.0, -1.0, (2,)), "deviation"),
    "negative variance": (lambda: Gaussian.diagonal([0.0, 0.0], [1.0, -1.0]), "variances"),
    "mean that does not broadcast": (lambda: Gaussian.isotropic(torch.zeros(3), 1.0, (2,)), "broadcast"),
    "weights that do not sum to 1": (lambda: Mixture([0.5, 0.6], [[0.0], [1.0]], 1.0), "sum 1"),
    "negative weight": (lambda: Mixture([1.5, -0.5], [[0.0], [1.0]], 1.0), "weights"),
    "missing mean": (lambda: Mixture([0.5, 0.5], [[0.0]], 1.0), "2 means"),
    "covariances that do not fit": (lambda: Mixture([0.5, 0.5], [[0.0], [1.0]], torch.ones(2, 3)), r"\(2, 1, 1\)"),
    "negative mode variance": (lambda: Mixture([0.5, 0.5], [[0.0], [1.0]], [1.0, -1.0]), "variances"),
    "no data": (lambda: Empirical(torch.zeros(0, 2)), "at least one"),
    "density of points": (lambda: points().log_prob(normal(2, 1, 3)), "through"),
    "score of points": (lambda: points().score(normal(2, 1, 3)), "through"),
    "no noise on points": (lambda: points().through(Kernel(1.0, 0.0)), "sigma > 0"),
    "density on a line": (lambda: Gaussian([0.0, 0.0], torch.ones(2, 2)).log_prob(normal(1, 2)), "through"),
    "score on a point": (lambda: Mixture([1.0], [[0.0]], 0.0).score(normal(1, 1)), "through"),
    "a level per sample": (lambda: points().through(Kernel(torch.ones(2), 1.0)), "one noise level"),
    "events of another shape": (lambda: points().denoise(normal(2, 3), GOOD), r"\(B, 1, 3\)"),
    "levels for another batch": (lambda: points().denoise(normal(2, 1, 3), Kernel(torch.ones(3), 1.0)), "B = 2"),
    "no draws": (lambda: points().sample(0, rng()), "n >= 1"),
}


@pytest.mark.parametrize("law", [laws()["mixture"], points()])
def test_levels_for_a_block_are_no_levels_for_the_batch(law, monkeypatch):
    monkeypatch.setattr("sde_diffusion.exact.blocks.CPU_ENTRIES", 2 * 12)
    with pytest.raises(ValueError, match="B = 4"):
        law.denoise(normal(4, *law.event_shape), Kernel(torch.ones(2), 1.0))


@pytest.mark.parametrize("name", DOORS)
def test_doors(name):
    attempt, message = DOORS[name]
    with pytest.raises(ValueError, match=message):
        attempt()


def test_integers_are_no_state():
    with pytest.raises(TypeError, match="int64"):
        points().denoise(torch.zeros(2, 1, 3, dtype=torch.int64), GOOD)
