"""DiffusionModel: samples and log-densities in the data's own units, conditions for each sample, and its messages."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from sde_diffusion import data, samplers
from sde_diffusion.arrays import as_tensor
from sde_diffusion.denoisers import Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.model import DiffusionModel, as_labels
from sde_diffusion.sde import EDM, VE, VP, Brownian
from sde_diffusion.standardization import Standardization

CENTRES = torch.tensor([[-1.0, 0.5], [1.0, -0.5], [0.3, 0.9]], dtype=torch.float64)
NORMAL = ExactDenoiser(Gaussian.isotropic(0.0, 1.0, (2,)))


class OfClass(Denoiser):
    """The exact denoiser of N(CENTRES[label], 0.3^2 I), in additions and multiplications only."""

    def forward(self, x_t, kernel, label=None):
        alpha, sigma = kernel.over(x_t)
        mean = CENTRES[torch.as_tensor(label)].to(x_t)
        gain = alpha * 0.3**2 / (alpha**2 * 0.3**2 + sigma**2)
        return mean + gain * (x_t - alpha * mean)


def conditional() -> DiffusionModel:
    shift, scale = torch.tensor([3.0, -2.0]), torch.tensor([2.0, 0.5])
    names = ("cat", "dog", "owl")
    model = DiffusionModel(VP(), OfClass(), (2,), Standardization(shift, scale), names)
    model.denoiser.double_ = nn.Parameter(torch.zeros((), dtype=torch.float64))  # a model that computes in float64
    return model


def data_of_mean_300():
    return torch.randn(2000, 2, generator=torch.Generator().manual_seed(1)) * 5 + 300


def table_of_scales():
    return torch.randn(2000, 2, generator=torch.Generator().manual_seed(2)) * torch.tensor([1.0, 1000.0])


def tiny_data():
    return torch.randn(2000, 2, generator=torch.Generator().manual_seed(3)) * 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("sde", [VP(), VE(), Brownian(), EDM()], ids=lambda sde: type(sde).__name__)
@pytest.mark.parametrize("make", [data_of_mean_300, table_of_scales, tiny_data], ids=lambda make: make.__name__)
def test_samples_have_the_means_and_the_standard_deviations_of_the_data(make, sde):
    """Within 10% of a standard deviation, column by column, after a short fit."""
    x = make()
    model = DiffusionModel.for_data(x, sde=sde, width=32, depth=2).fit(x, steps=300, learning_rate=5e-3, ema_decay=0.98)
    y = model.sample(4000, nfe=20)
    assert ((y.mean(0) - x.mean(0)).abs() / x.std(0)).max() < 0.1
    assert (y.std(0) / x.std(0) - 1).abs().max() < 0.1


@pytest.mark.parametrize("sde", [VP(), VE(), Brownian(), EDM()], ids=lambda sde: type(sde).__name__)
def test_the_prior_is_matched_to_the_data(sde):
    """An exact denoiser, mean 30 and standard deviation 20, nothing given: no bias of the prior is left."""
    model = DiffusionModel(sde, NORMAL, (2,), Standardization(torch.tensor(30.0), torch.tensor(20.0)))
    y = model.sample(4000, nfe=30)
    assert y.mean().item() == pytest.approx(30.0, abs=4 * 20 / math.sqrt(8000))
    assert y.std().item() == pytest.approx(20.0, rel=0.04)


def test_log_prob_changes_by_exactly_the_log_determinant():
    """And is the exact log-density of N(shift, scale^2) within its own stated error."""
    standard = Standardization(torch.tensor([3.0, -2.0]), torch.tensor([2.0, 0.25]))
    z = torch.randn(6, 2, generator=torch.Generator().manual_seed(0))
    x = standard.from_standard(z)
    plain = DiffusionModel(VP(), NORMAL, (2,)).log_prob(standard.to_standard(x))
    scaled = DiffusionModel(VP(), NORMAL, (2,), standard).log_prob(x)
    assert torch.equal(scaled.value, plain.value + (-math.log(2.0) - math.log(0.25)))
    exact = torch.distributions.Normal(standard.shift, standard.scale).log_prob(x.double()).sum(1)
    assert ((scaled.value - exact).abs() < 5 * scaled.standard_error + 3e-3).all()
    assert standard.log_det((2,)) == pytest.approx(-math.log(2.0) - math.log(0.25), abs=1e-15)
    assert Standardization(torch.tensor(0.0), torch.tensor(2.0)).log_det((3, 4)) == pytest.approx(-12 * math.log(2))


SAMPLERS = {
    "default": (samplers.default, {"nfe": 12}),
    "adaptive": (samplers.adaptive_ode, {"tol": 1e-4}),
    "stochastic": (samplers.euler_maruyama, {"steps": 25}),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_label_for_each_sample_equals_runs_of_one_class(name):
    """300 samples, in chunks of 256: each is that of the run in which all have its label, to 1e-12."""
    make, budget = SAMPLERS[name]
    model = conditional()
    labels = torch.arange(300) % 3
    mixed = model.sample(300, make(), **budget, label=labels)
    assert mixed.dtype == torch.float64
    for k in range(3):
        alone = model.sample(300, make(), **budget, label=k)
        torch.testing.assert_close(mixed[labels == k], alone[labels == k], rtol=0, atol=1e-12)


def test_a_label_for_each_point_in_log_prob_equals_runs_of_one_class():
    model, labels = conditional(), torch.tensor([0, 1, 2, 2, 0])
    x = model.sample(5, nfe=20, label=labels)
    mixed = model.log_prob(x, label=labels)
    for i, k in enumerate(labels.tolist()):
        alone = model.log_prob(x, label=k).value[i]
        assert mixed.value[i].item() == pytest.approx(alone.item(), abs=1e-12)


def test_classes_are_called_by_name():
    model = conditional()
    assert torch.equal(model.sample(4, nfe=5, label="dog"), model.sample(4, nfe=5, label=1))
    mixed = model.sample(2, nfe=5, label=["owl", "cat"])
    assert torch.equal(mixed, model.sample(2, nfe=5, label=torch.tensor([2, 0])))


def test_an_arrays_classes_and_an_own_network_work_from_fit_to_sample():
    """numpy in; string labels; an nn.Module called (x, t) with t of shape (B,)."""

    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = nn.Sequential(nn.Linear(3 + 3, 32), nn.SiLU(), nn.Linear(32, 2))

        def forward(self, x, t, label=None):
            assert t.shape == (len(x),)
            kinds = torch.full((len(x),), -1) if label is None else torch.as_tensor(label).expand(len(x))
            hot = nn.functional.one_hot(kinds + 1, 3).to(x)
            return self.net(torch.cat([x, t[:, None], hot], 1))

    rng = np.random.default_rng(0)
    species = np.array(["b", "a"])[rng.integers(0, 2, 512)]
    x = rng.normal(np.where(species == "a", 5.0, -5.0)[:, None], 1.0, (512, 2))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = Own()
    model = DiffusionModel.for_data(x, species, network=own).fit(
        x, species, steps=300, learning_rate=5e-3, ema_decay=0.9
    )
    assert model.class_names == ("a", "b")
    assert model.sample(200, label="a").mean().item() == pytest.approx(5.0, abs=1.5)
    assert model.sample(200, label="b").mean().item() == pytest.approx(-5.0, abs=1.5)


def test_codes_lead_back_to_the_data():
    model = DiffusionModel(VP(), NORMAL, (2,), Standardization(torch.tensor(3.0), torch.tensor(2.0)))
    x = model.sample(64, nfe=30)
    z = model.encode(x)
    torch.testing.assert_close(
        z, (x - 3) / 2, rtol=2e-3, atol=2e-3
    )  # the flow of a normal law to a normal prior is linear


X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
MESSAGES = {
    "a loader": (lambda: DiffusionModel.for_data(torch.utils.data.DataLoader([1, 2])), "give its data set"),
    "the process first": (lambda: DiffusionModel.for_data(VP()), "swap the arguments"),
    "labels in the place of the process": (lambda: DiffusionModel.for_data(X, sde=X), "linear process such as VP"),
    "words": (lambda: DiffusionModel.for_data([["a", "b"]]), "data are numbers"),
    "one axis": (lambda: DiffusionModel.for_data(torch.zeros(5)), r"x\[:, None\]"),
    "NaN": (lambda: DiffusionModel.for_data(torch.tensor([[1.0], [float("nan")]])), "1 NaN or infinite"),
    "constant": (lambda: DiffusionModel.for_data(torch.ones(9, 2)), "one and the same number"),
    "grey images without channels": (
        lambda: DiffusionModel.for_data(torch.randn(4, 48, 64, generator=torch.Generator())),
        r"x\[:, None\]",
    ),
    "shape first": (lambda: DiffusionModel(VP(), NORMAL, (2,)).sample((16, 2)), "number of samples first"),
    "one point": (lambda: DiffusionModel(VP(), NORMAL, (2,)).log_prob(X[0]), "batch axis|shape"),
    "another shape": (lambda: DiffusionModel(VP(), NORMAL, (2,)).log_prob(torch.zeros(3, 5)), "samples of shape"),
    "a label for nothing": (lambda: DiffusionModel(VP(), NORMAL, (2,)).sample(4, label=1), "unconditional"),
    "an unknown class": (lambda: conditional().sample(4, label="cow"), "known: cat, dog, owl"),
    "a label out of range": (lambda: conditional().sample(4, label=7), r"0 \.\. 2"),
    "too few labels": (lambda: conditional().sample(4, label=[0, 1]), "each of the 4 samples"),
    "no labels": (lambda: conditional().fit(X), "give labels="),
    "settings twice": (lambda: DiffusionModel(VP(), NORMAL, (2,)).fit(X, settings=object(), steps=4), "not both"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_wrong_argument_gets_one_sentence(name):
    call, words = MESSAGES[name]
    with pytest.raises((TypeError, ValueError), match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_labels_are_numbered():
    numbers, names = as_labels(["b", "a", "b"])
    assert (numbers.tolist(), names) == ([1, 0, 1], ("a", "b"))
    assert as_labels([0, 2])[1] == ("0", "1", "2")
    for wrong in ([-1, 0], [0.5], [[1]]):
        with pytest.raises(ValueError, match="labels"):
            as_labels(wrong)


def test_standardisation_by_column_for_tables_by_one_number_for_images():
    table = torch.tensor([[1.0, 100.0], [3.0, 300.0]])
    assert Standardization.of(table).scale.tolist() == [1.0, 100.0]
    images = torch.tensor([[[[0.0, 2.0]]], [[[4.0, 6.0]]]])
    assert Standardization.of(images).shift.shape == ()
    back = Standardization.of(table)
    torch.testing.assert_close(back.from_standard(back.to_standard(table)), table)
    back = Standardization.of(torch.tensor([[0.1, 1.0], [0.7, 1.3]]))  # no short binary fractions
    again = Standardization.of_dict(back.as_dict())
    assert torch.equal(again.shift, back.shift)
    assert torch.equal(again.scale, back.scale)
    assert Standardization.of(torch.tensor([[1.0, 5.0], [2.0, 5.0]])).scale.tolist() == [0.5, 1.0]


def test_a_whole_data_set_is_its_rows():
    """A Dataset of one tensor, of pairs, and a DataSource: the same rows as the tensor itself."""
    x, labels = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    for given in (TensorDataset(x), TensorDataset(x, labels)):
        assert torch.equal(as_tensor(given), x)
    source = data.by_name("moons")
    assert torch.equal(as_tensor(source), source.tensors("train")[0])
    with pytest.raises(TypeError, match="give its data set"):
        as_tensor(DataLoader(TensorDataset(x)))


@pytest.mark.parametrize("label", [1.7, [0.5, 1.0], np.float64(1.0)])
def test_a_label_that_is_no_class_is_refused(label):
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    model = DiffusionModel.for_data(x, labels=torch.arange(20) % 2)
    with pytest.raises(ValueError, match="a class's number or its name"):
        model.condition(2, {"label": label})
    assert model.condition(2, {"label": np.int64(1)}) == {"label": 1}
