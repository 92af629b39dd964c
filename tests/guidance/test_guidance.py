"""Guidance against exact laws: fields to 1e-10, weights 0 and 1 bit for bit, rows, and the laws that are drawn."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from sde_diffusion.conditions.dropped import drop
from sde_diffusion.denoisers import CallCounter, Conditioned, Denoiser
from sde_diffusion.exact import ClassDenoiser, ExactDenoiser, Gaussian, Mixture, MixtureOfClasses
from sde_diffusion.exact.problems import ring8
from sde_diffusion.guidance import (
    Autoguidance,
    ClassifierFree,
    ClassifierGuidance,
    MixtureOfDenoisers,
    Projected,
    Ramped,
    SumOfScores,
)
from sde_diffusion.guidance.base import null_of
from sde_diffusion.kernel import Kernel
from sde_diffusion.metrics import sliced_wasserstein
from sde_diffusion.sampling import default_solver, sample
from sde_diffusion.sde import VP

LEVELS = [Kernel(1.0, 0.05), Kernel(0.8, 0.6), Kernel(1.0, 3.0), Kernel(0.1, 0.99)]
LABELS = torch.tensor([0, 1, 1, 0, 1, 0])


@pytest.fixture(scope="module")
def classes() -> MixtureOfClasses:
    """Two overlapping classes of three modes each, in three dimensions, with full covariances."""
    generator = torch.Generator().manual_seed(3)
    means = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    roots = 0.4 * torch.randn(6, 3, 3, generator=generator, dtype=torch.float64)
    covariances = roots @ roots.mT + 0.05 * torch.eye(3)
    return MixtureOfClasses(Mixture([0.1, 0.2, 0.2, 0.1, 0.3, 0.1], means, covariances), [0, 0, 0, 1, 1, 1])


def noisy(classes: MixtureOfClasses, kernel: Kernel) -> Tensor:
    generator = torch.Generator().manual_seed(5)
    x = classes.law.sample(6, generator)
    return kernel.perturb(x, torch.randn(x.shape, generator=generator, dtype=x.dtype))


def score(kernel: Kernel, x: Tensor, mean: Tensor) -> Tensor:
    return kernel.score(x, mean)


@pytest.mark.parametrize("kernel", LEVELS)
@pytest.mark.parametrize("weight", [1.0, 4.0, -0.5])
def test_guided_score_is_the_score_and_the_classifiers_gradient(classes, kernel, weight):
    x = noisy(classes, kernel)
    with torch.enable_grad():
        at = x.clone().requires_grad_()
        gradient = torch.autograd.grad(classes.log_class(at, kernel, LABELS).sum(), at)[0]
    plain = classes.law.through(kernel).score(x)
    guided = ClassifierGuidance(ExactDenoiser(classes.law), classes.log_class, weight)(x, kernel, label=LABELS)
    free = ClassifierFree(ClassDenoiser(classes), weight)(x, kernel, label=LABELS)
    wanted = plain + weight * gradient
    scale = 1 + wanted.abs().max()
    torch.testing.assert_close(score(kernel, x, guided) / scale, wanted / scale, rtol=0, atol=1e-10)
    torch.testing.assert_close(score(kernel, x, free) / scale, wanted / scale, rtol=0, atol=1e-10)


class _Recorded(Denoiser):
    """Another denoiser with everything that it was asked."""

    def __init__(self, inner: Denoiser) -> None:
        super().__init__()
        self.inner, self.seen = inner, []

    def forward(self, x_t: Tensor, kernel: Kernel, **condition) -> Tensor:
        self.seen.append((len(x_t), condition))
        return self.inner(x_t, kernel, **condition)


GUIDANCES = {
    "cfg": lambda inner, weight: ClassifierFree(inner, weight),
    "ramped": lambda inner, weight: Ramped(inner, weight),
    "apg": lambda inner, weight: Projected(inner, weight),
    "autoguidance": lambda inner, weight: Autoguidance(inner, ExactDenoiserOfAll(inner), weight),
}


class ExactDenoiserOfAll(Denoiser):
    """A bad version: the unconditional model, whatever the condition."""

    def __init__(self, inner: Denoiser) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x_t: Tensor, kernel: Kernel, label: object = None) -> Tensor:
        return self.inner(x_t, kernel, label=-1)


@pytest.mark.parametrize("name", GUIDANCES)
@pytest.mark.parametrize("kernel", LEVELS)
def test_weight_one_is_the_conditional_model_bit_for_bit(classes, name, kernel):
    x, exact = noisy(classes, kernel), ClassDenoiser(classes)
    assert torch.equal(GUIDANCES[name](exact, 1.0)(x, kernel, label=LABELS), exact(x, kernel, label=LABELS))


@pytest.mark.parametrize("name", ["cfg", "autoguidance"])
def test_weight_zero_is_the_unconditional_model_bit_for_bit_in_one_call(classes, name):
    kernel, exact = LEVELS[1], ClassDenoiser(classes)
    x, counted = noisy(classes, kernel), CallCounter(ClassDenoiser(classes))
    assert torch.equal(GUIDANCES[name](counted, 0.0)(x, kernel, label=LABELS), exact(x, kernel))
    assert (counted.calls, counted.rows) == (1, len(x))


def test_one_call_of_twice_the_rows(classes):
    kernel, counted = LEVELS[1], CallCounter(ClassDenoiser(classes))
    ClassifierFree(counted, 3.0)(noisy(classes, kernel), kernel, label=LABELS)
    assert (counted.calls, counted.rows) == (1, 12)


def test_levels_for_each_sample_are_those_levels_and_the_interval_acts_on_each(classes):
    alphas = torch.tensor([1.0, 0.8, 1.0, 0.1, 0.5, 1.0], dtype=torch.float64)
    sigmas = torch.tensor([0.05, 0.6, 3.0, 0.99, 0.5, 0.3], dtype=torch.float64)
    exact, x = ClassDenoiser(classes), noisy(classes, LEVELS[1])
    for made in (ClassifierFree(exact, 3.0, interval=(0.3, 2.0)), Ramped(exact, 3.0), Projected(exact, 3.0)):
        together = made(x, Kernel(alphas, sigmas), label=LABELS)
        for i in range(len(x)):
            level = Kernel(alphas[i].item(), sigmas[i].item())
            alone = made(x[i : i + 1], level, label=LABELS[i : i + 1])
            torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-13)
    outside = ClassifierFree(exact, 3.0, interval=(0.3, 2.0))(x, LEVELS[2], label=LABELS)
    assert torch.equal(outside, exact(x, LEVELS[2], label=LABELS))
    at_the_end = ClassifierFree(exact, 3.0, interval=(0.3, 0.75))(x, LEVELS[1], label=LABELS)  # 0.6 / 0.8 is within
    assert not torch.equal(at_the_end, exact(x, LEVELS[1], label=LABELS))


def test_rescaled_samples_have_the_deviation_of_the_conditional_answer(classes):
    kernel, exact = LEVELS[1], ClassDenoiser(classes)
    x = noisy(classes, kernel)
    whole, wanted = (
        ClassifierFree(exact, 5.0, rescale=1.0)(x, kernel, label=LABELS),
        exact(x, kernel, label=LABELS),
    )
    torch.testing.assert_close(whole.std(1), wanted.std(1))
    plain, half = (ClassifierFree(exact, 5.0, rescale=share)(x, kernel, label=LABELS) for share in (0.0, 0.5))
    torch.testing.assert_close(half, (plain + whole) / 2)


def test_projected_guidance_keeps_what_is_across_and_its_case_of_all_is_classifier_free(classes):
    kernel, exact = LEVELS[1], ClassDenoiser(classes)
    x, wanted = noisy(classes, kernel), exact(noisy(classes, kernel), kernel, label=LABELS)
    across = Projected(exact, 4.0)(x, kernel, label=LABELS) - wanted
    torch.testing.assert_close((across * wanted).sum(1), torch.zeros(6, dtype=x.dtype), rtol=0, atol=1e-12)
    everything = Projected(exact, 4.0, eta=1.0)(x, kernel, label=LABELS)
    torch.testing.assert_close(everything, ClassifierFree(exact, 4.0)(x, kernel, label=LABELS))
    bounded = Projected(exact, 4.0, eta=1.0, radius=0.01)(x, kernel, label=LABELS) - wanted
    torch.testing.assert_close(bounded.norm(dim=1), torch.full((6,), 0.03, dtype=x.dtype))


def test_a_negative_condition_takes_the_place_of_the_null(classes):
    kernel, exact = LEVELS[1], ClassDenoiser(classes)
    x = noisy(classes, kernel)
    found = ClassifierFree(exact, 2.0, null={"label": 1})(x, kernel, label=torch.zeros(6, dtype=torch.int64))
    torch.testing.assert_close(found, 2 * exact(x, kernel, label=0) - exact(x, kernel, label=1))


def test_the_null_is_what_training_drops_conditions_to():
    """Integers, real numbers and truth values; Python's and tensors; (B,), (B, K) and one for all."""
    given = {"label": torch.tensor([3, 1]), "context": torch.ones(2, 4), "mask": torch.tensor([True, True]), "one": 3}
    dropped = {
        name: drop(torch.as_tensor(value).expand(2, *torch.as_tensor(value).shape[1:]), torch.ones(2).bool())
        for name, value in given.items()
    }
    for name, value in null_of(given).items():
        assert torch.equal(value.expand_as(dropped[name]), dropped[name]), name
        assert value.dtype == dropped[name].dtype


def test_sum_of_scores_and_mixture_against_their_laws(classes):
    kernel, laws = LEVELS[1], classes.laws
    x, parts = noisy(classes, kernel), [ExactDenoiser(law) for law in laws]
    found = score(kernel, x, SumOfScores(parts, [1.0, 1.5])(x, kernel))
    through = [law.through(kernel) for law in laws]
    torch.testing.assert_close(found, through[0].score(x) + 1.5 * through[1].score(x))
    shares = [classes.law.weights[classes.class_of_mode == c].sum().log().item() for c in (0, 1)]
    densities = [lambda x, kernel, law=law: law.through(kernel).log_prob(x) for law in laws]
    mixed = MixtureOfDenoisers(parts, densities, shares)
    torch.testing.assert_close(mixed(x, kernel), classes.law.denoise(x, kernel))


def test_the_ramp_is_one_at_high_noise_the_weight_at_low_noise_and_log_linear_between(classes):
    ramp = Ramped(ClassDenoiser(classes), 5.0, start=4.0, end=0.25)
    found = [ramp.weight_at(level) for level in (5.0, 4.0, 1.0, 0.25, 0.1)]
    assert found == pytest.approx([1, 1, 3, 5, 5])
    assert torch.as_tensor(ramp.weight_at(torch.tensor([1.0, 9.0]))).tolist() == pytest.approx([3, 1])


def test_labels_for_each_sample_and_a_part_of_a_batch(classes):
    """Under `select` every guidance gives the rows of its answer for the whole batch."""
    kernel, exact = LEVELS[1], ClassDenoiser(classes)
    x, rows = noisy(classes, kernel), torch.tensor([4, 0, 3])
    for make in GUIDANCES.values():
        whole = Conditioned(make(exact, 3.0), label=LABELS)
        torch.testing.assert_close(whole.select(rows)(x[rows], kernel), whole(x, kernel)[rows], rtol=0, atol=1e-13)
    inner = Conditioned(exact, label=LABELS)
    summed = SumOfScores([inner, inner], [0.5, 0.5])
    torch.testing.assert_close(summed.select(rows)(x[rows], kernel), exact(x, kernel, label=LABELS)[rows])


def tilted_error(guided: Denoiser, classes: MixtureOfClasses, weight: float, n: int = 2000) -> float:
    """Sliced W2 from 50 calls of the default sampler to the exact tilted law of class 0, over that of two exact sets."""
    reversal, solver = default_solver(VP(), Conditioned(guided, label=0), 50, 0.7)
    drawn = sample(reversal, solver, (n, *classes.law.event_shape), 0, dtype=torch.float64)
    exact = [classes.tilted(0, weight, n, torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    return sliced_wasserstein(drawn, exact[0]) / sliced_wasserstein(exact[1], exact[0])


@pytest.fixture(scope="module")
def overlapping() -> MixtureOfClasses:
    """Two unequal, overlapping classes of two modes each in the plane: what guidance does at high noise shifts the modes."""
    means = [[-1.0, 0.0], [0.6, 0.9], [1.0, 0.0], [-0.2, 0.4]]
    return MixtureOfClasses(Mixture([0.3, 0.2, 0.3, 0.2], means, 0.25**2), [0, 0, 1, 1])


def test_classifier_free_guidance_draws_another_law_and_the_ramp_one_nearer_to_it(overlapping):
    """The oracle is right at w = 1; at w = 3 plain guidance is floors away, and the ramp is nearer."""
    exact = ClassDenoiser(overlapping)
    assert tilted_error(ClassifierFree(exact, 1.0), overlapping, 1.0) < 2
    plain, ramped = (tilted_error(make(exact, 3.0), overlapping, 3.0) for make in (ClassifierFree, Ramped))
    assert plain > 3
    assert ramped < 0.7 * plain


def test_tilted_draws_have_the_tilted_density(overlapping):
    """Moments of (1) of `exact.classes` by importance weights: x ~ p(x | c), weights p(c | x)^(w - 1)."""
    generator = torch.Generator().manual_seed(0)
    x = overlapping.laws[0].sample(200_000, generator)
    weights = (2 * overlapping.log_class(x, Kernel(1.0, 0.0), 0)).softmax(0).unsqueeze(1)
    mean, n = (weights * x).sum(0), 20_000
    deviation = (weights * (x - mean).square()).sum(0).sqrt()
    drawn = overlapping.tilted(0, 3.0, n, generator)
    assert ((drawn.mean(0) - mean) / deviation * math.sqrt(n)).abs().max() < 4.5
    torch.testing.assert_close(drawn.std(0), deviation, rtol=0.03, atol=0)


def test_guidance_of_a_gaussian_has_the_flow_of_a_gaussian():
    """Two Gaussian classes of one covariance: the classifier's gradient is that of a Gaussian shift at every level."""
    first, second = (Gaussian([m, 0.0], torch.eye(2, dtype=torch.float64) * 0.25) for m in (1.0, -1.0))
    kernel, x = LEVELS[1], torch.tensor([[0.3, -0.2]], dtype=torch.float64)
    guided = SumOfScores([ExactDenoiser(first), ExactDenoiser(second)], [3.0, -2.0])
    shifted = Gaussian([5.0, 0.0], torch.eye(2, dtype=torch.float64) * 0.25)
    torch.testing.assert_close(guided(x, kernel), shifted.denoise(x, kernel))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda d: ClassifierFree(d, 3.0)(torch.zeros(2, 2), LEVELS[1]), "such as label=3"),
        (lambda d: ClassifierFree(d, 3.0, null={"word": 1})(torch.zeros(2, 2), LEVELS[1], label=0), "'word'"),
        (lambda d: ClassifierFree(d, 3.0, interval=(2, 1)), "low < high"),
        (lambda d: ClassifierFree(d, 3.0, rescale=7), "0.7 is usual"),
        (lambda d: Ramped(d, 3.0, end=0.0), "0.3 is usual"),
        (lambda d: Projected(d, 3.0, radius=0.0), "leave it out"),
        (lambda d: SumOfScores([d], [1.0, 2.0]), "one for each denoiser"),
    ],
)
def test_doors(classes, make, words):
    with pytest.raises(ValueError, match=words):
        make(ClassDenoiser(MixtureOfClasses(ring8(), [0, 1] * 4)))


def test_classes_are_checked():
    with pytest.raises(ValueError, match="each of the 8 modes"):
        MixtureOfClasses(ring8(), [0, 1])
    with pytest.raises(ValueError, match="at least 1"):
        MixtureOfClasses(ring8(), [0, 1] * 4).tilted(0, 0.5, 10)
