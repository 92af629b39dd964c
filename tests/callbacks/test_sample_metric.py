"""The metric of samples against exact laws: its value, and that it depends on the seed alone."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.callbacks import Every, SampleMetric
from sde_diffusion.callbacks.sample_metric import METRICS
from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.sde import VP

COUNT = 600


def law(shift: float = 0.0) -> Gaussian:
    return Gaussian.isotropic(shift, 1.0, (2,))


def metric(name: str, **more) -> SampleMetric:
    real = law().sample(COUNT, torch.Generator().manual_seed(1)).float()
    return SampleMetric(Every(1), DiffusionModel(VP(), ExactDenoiser(law()), (2,)), real, name, evaluations=10, **more)


EXACT = {"frechet": 0.5, "sliced_w2": 0.5, "energy": None, "kid": None}
"""Two unit Gaussians in the plane, half a unit apart on both axes: |d|^2, and |d|/sqrt(2)."""


@pytest.mark.parametrize("name", METRICS)
def test_samples_of_the_exact_denoiser_are_nearer_than_those_of_another_law(name):
    watch, wrong = metric(name), ExactDenoiser(law(0.5))
    near, far = watch.measure(ExactDenoiser(law())), watch.measure(wrong)
    assert abs(near) < 0.2 * far
    if EXACT[name] is not None:
        assert far == pytest.approx(EXACT[name], rel=0.25)


def test_it_is_a_function_of_the_seed_alone(look):
    """Whatever the global generator, and whatever was measured before; in chunks of any size nearly the same."""
    first, again = look(ExactDenoiser(law(0.5))), look(ExactDenoiser(law(0.5)))
    watch = metric("frechet")
    watch.on_report(first)
    state = torch.get_rng_state()
    metric("frechet").on_report(again)
    watch.on_report(first)
    assert first.numbers == again.numbers
    assert torch.equal(state, torch.get_rng_state())
    assert metric("frechet", seed=1).measure(ExactDenoiser(law(0.5))) != first.numbers["frechet"]
    assert metric("frechet", chunk=100).measure(ExactDenoiser(law(0.5))) == pytest.approx(
        first.numbers["frechet"], rel=1e-4
    )


def test_the_extractor_is_made_once_and_sees_samples_and_data():
    seen = []

    def make():
        seen.append("made")
        return lambda x: seen.append(len(x)) or x * 2

    watch = metric("frechet", extractor=make)
    assert watch.measure(ExactDenoiser(law(0.5))) == pytest.approx(
        4 * metric("frechet").measure(ExactDenoiser(law(0.5)))
    )
    watch.measure(ExactDenoiser(law()))
    assert seen.count("made") == 1
    assert sum(one for one in seen if one != "made") == 3 * COUNT


def test_labels_go_to_their_own_samples():
    """A denoiser that draws each class around its own number: sample i has the class of example i."""
    labels = torch.arange(COUNT) % 3

    class ByClass(Denoiser):
        def forward(self, x, kernel, *, label, **condition):
            return torch.ones_like(x) * label[:, None]

        def select(self, rows):
            return self

    model = DiffusionModel(VP(), ByClass(), (2,), class_names=("0", "1", "2"))
    watch = SampleMetric(Every(1), model, torch.zeros(COUNT, 2), labels=labels, evaluations=4, chunk=250)
    assert torch.equal(watch.samples(ByClass()).mean(1).round().long(), labels)


def test_others_are_refused(is_sentence):
    with pytest.raises(ValueError, match="did you mean 'frechet'") as caught:
        metric("frechett")
    assert is_sentence(caught.value)
    with pytest.raises(ValueError, match="at least 12"):
        SampleMetric(Every(1), DiffusionModel(VP(), ExactDenoiser(law()), (2,)), torch.zeros(11, 2))
