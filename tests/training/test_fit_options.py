"""Other libraries' words, wrong kinds and unsuitable data at `fit` and the settings: one sentence that says what to write."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, TrainSettings, fit, threads, train
from sde_diffusion.training.devices import device_of
from sde_diffusion.training.settings import OTHER_NAMES, name_here
from sde_diffusion.training.threads import choose_threads, using_threads

X = torch.randn(64, 2, generator=torch.Generator().manual_seed(0))
SHORT = TrainSettings(steps=2, batch_size=4)


def denoiser(data_std=1.0):
    torch.manual_seed(0)
    return Preconditioned(TimeMLP(2, width=8, depth=1), EDMPreconditioning(data_std=data_std))


OPTIONS = {
    "epochs": (3, r"TrainSettings\(steps=...\)\); one epoch is len\(data\) // batch_size steps"),
    "lr": (1e-3, r"TrainSettings\(learning_rate=...\)"),
    "batch_size": (3, r"TrainSettings\(batch_size=...\)"),
    "observers": ([], r"callbacks=\[...\]"),
    "lables": (None, "did you mean 'labels'"),
    "xyzzy": (None, "it takes objective, labels"),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_under_another_name_is_refused_with_the_right_one(name, is_sentence):
    value, words = OPTIONS[name]
    with pytest.raises(TypeError, match=f"fit has no option '{name}'; .*{words}") as caught:
        fit(denoiser(), VP(), X, SHORT, **{name: value})
    assert is_sentence(caught.value)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_setting_under_another_name_is_refused_with_the_right_one(name, is_sentence):
    with pytest.raises(TypeError, match=f"calls {name} '{OTHER_NAMES[name]}'; write {OTHER_NAMES[name]}=") as caught:
        TrainSettings(**{name: 1})
    assert is_sentence(caught.value)
    assert name_here(name) == name_here(OTHER_NAMES[name]) == OTHER_NAMES[name]


def test_the_first_argument_of_fit_is_the_model(is_sentence):
    for wrong, words in ((VP(), "swap them"), (denoiser().backbone, "wrap it: Preconditioned")):
        with pytest.raises(TypeError, match=words) as caught:
            fit(wrong, VP() if words != "swap them" else denoiser(), X, SHORT)
        assert is_sentence(caught.value)


@pytest.mark.parametrize(
    ("data", "data_std", "words"),
    [
        (X + 300, 1.0, "mean 300"),
        (100 * X, 1.0, "data_std=1;"),
        (1e-3 * X, 0.5, "data_std=0.5"),
        (torch.rand(64, 2, generator=torch.Generator().manual_seed(0)) * 255, 0.5, "mean 1[23]"),
    ],
    ids=["far", "wide", "narrow", "pixels"],
)
def test_data_that_do_not_suit_the_model_are_one_warning(data, data_std, words, is_sentence):
    with pytest.warns(UserWarning, match=words) as caught:
        train(denoiser(data_std), VP(), data, SHORT)
    assert len(caught) == 1
    assert is_sentence(str(caught[0].message))


def test_data_of_unit_variance_suit_the_usual_models():
    for data_std in (0.5, 1.0, float(X.std())):
        train(denoiser(data_std), VP(), X, SHORT)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "mps"])
def test_a_device_that_is_not_there_is_refused(name, is_sentence):
    if name == "mps" and torch.backends.mps.is_available():
        pytest.skip("it is there")
    with pytest.raises(ValueError, match=name) as caught:
        device_of(name)
    assert is_sentence(caught.value)


def test_the_number_of_threads_is_measured_kept_and_taken_again(monkeypatch, tmp_path):
    """The faster of one and all; the run keeps it, whatever a later measurement would say."""
    measured = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(threads, "_seconds", lambda *_: measured.append(1) or (1.0 if len(measured) % 2 else 0.5))
    source = train(denoiser(), VP(), X, TrainSettings(steps=3, batch_size=4, log_every=1), folder=tmp_path)
    next(source)
    source.close()
    assert len(measured) == 2
    state = (tmp_path / "checkpoints/step-000001/state.json").read_text()
    assert '"threads": 1' in state
    monkeypatch.setattr(threads, "_seconds", lambda *_: math.nan)
    list(train(denoiser(), VP(), X, TrainSettings(steps=3, batch_size=4, log_every=1), folder=tmp_path))
    assert '"threads": 1' in (tmp_path / "checkpoints/step-000003/state.json").read_text()


def test_a_measurement_leaves_no_trace(same):
    model = denoiser().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    batch = threads.Batch(X[:8])
    assert threads.faster(2, model, VP(), batch) in (1, 2)
    assert same(dict(model.state_dict()), before)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert choose_threads(3, ComputeSettings(), model, VP(), batch) == 3
    assert choose_threads(3, ComputeSettings(threads=2), model, VP(), batch) == 2
    with using_threads(2):
        assert torch.get_num_threads() == 2
    assert torch.get_num_threads() == 1
