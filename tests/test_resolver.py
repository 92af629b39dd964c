"""Names with arguments become objects and objects become them again, the same for the command line and for sharing."""

from __future__ import annotations

import json

import pytest
import torch

from sde_diffusion import EDM, VE, VP, DenoisingScoreMatching, EDMPreconditioning, LogNormalLevel, MinSNR, TimeMLP, UNet
from sde_diffusion.objectives import uniform_log_snr
from sde_diffusion.plugins import KINDS, choices, choose
from sde_diffusion.resolver import build, canonical, is_custom, spec_of
from sde_diffusion.sde import DDPM
from sde_diffusion.specs import check_spec, nearest, number, parse, spec, to_text
from solvers import ExponentialAdams, Heun

THINGS = {
    "process": [VP(beta_max=12.0), VE(), EDM(), DDPM((0.1, 0.2, 0.3))],
    "parameterization": [EDMPreconditioning(0.7)],
    "objective": [
        DenoisingScoreMatching(),
        DenoisingScoreMatching(weighting=MinSNR(3.0), times=LogNormalLevel(-0.6, 1.4)),
        DenoisingScoreMatching(times=uniform_log_snr),
    ],
    "weighting": [MinSNR(2.0)],
    "method": [Heun(), ExponentialAdams(2)],
}


@pytest.mark.parametrize(("kind", "thing"), [(kind, thing) for kind, things in THINGS.items() for thing in things])
def test_an_object_survives_being_plain_data(kind, thing):
    part = json.loads(json.dumps(spec_of(kind, thing)))
    again = build(kind, part)
    assert type(again) is type(thing)
    assert repr(again) == repr(thing)


@pytest.mark.parametrize("network", [TimeMLP(3, width=8), UNet(2, width=8, classes=3)])
def test_a_network_survives_with_its_shapes(network):
    again = build("network", json.loads(json.dumps(spec_of("network", network))))
    shapes = [{name: value.shape for name, value in each.state_dict().items()} for each in (network, again)]
    assert shapes[0] == shapes[1]


class Mine(torch.nn.Linear):
    """A network that no package holds."""


def test_a_class_of_ones_own_is_recorded_and_not_built():
    part = spec_of("network", Mine(2, 2))
    assert is_custom(part)
    assert part["class"] == f"{__name__}:Mine"
    with pytest.raises(ValueError, match=r"the network is of the class .*Mine.*give it"):
        build("network", part)


def test_kinds_are_found_by_annotation_and_not_by_the_names_of_arguments(monkeypatch):
    from sde_diffusion.objectives import weighting

    def other(process, time):
        return time

    other.__module__ = weighting.__name__
    for word, there in (("Weights", True), ("Tensor", False)):
        other.__annotations__["return"] = word
        monkeypatch.setattr(weighting, "other", other, raising=False)
        choices.cache_clear()
        assert ("other" in choices("weighting")) is there
        assert "other" not in choices("time distribution")
    monkeypatch.undo()
    choices.cache_clear()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sampler"])
def test_every_kind_has_names_and_refuses_others_in_a_sentence(kind):
    assert choices(kind)
    with pytest.raises(ValueError, match=f"no {kind} is called 'zzz'; known: "):
        choose(kind, "zzz")


TYPED = {
    "cifar10(root=data)": {"name": "cifar10", "root": "data"},
    "cifar10(root=my-data)": {"name": "cifar10", "root": "my-data"},
    "cifar10(root=2024)": {"name": "cifar10", "root": "2024"},
    "cifar10(root=1e5)": {"name": "cifar10", "root": "1e5"},
    "cifar10(root=../a b/c.d, download=true)": {"name": "cifar10", "root": "../a b/c.d", "download": True},
    "image_folder(root='x, y', side=32)": {"name": "image_folder", "root": "x, y", "side": 32},
    "moons(seed=1e3)": {"name": "moons", "seed": 1000.0},
}


@pytest.mark.parametrize("text", TYPED)
def test_a_text_stays_as_it_was_typed(text):
    found = canonical("data set", parse(text))
    assert found == TYPED[text]
    assert all(type(value) in (str, int, float, bool) for value in found.values())


def test_a_text_reaches_the_object():
    assert build("data set", parse("image_folder(root=2024, side=8)")).root == "2024"
    assert build("data set", parse("moons(seed=1e3)")) == build("data set", parse("moons(seed=1000)"))


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("process", "vp(beta_max=high)", "beta_max is a number, got"),
        ("process", "vp(beta_max=true)", "beta_max is a number, got 'True'"),
        ("data set", "image_folder(root=x, side=[48, 64])", r"side is a whole number or null, got '\[48, 64\]'"),
        ("data set", "image_folder", r"needs 'root'; write image_folder\(root=...\)"),
        ("process", "vpsde", "did you mean 'vp'"),
        ("weighting", "eps", "did you mean 'simple'"),
    ],
)
def test_a_wrong_argument_is_one_sentence(kind, text, words):
    with pytest.raises(ValueError, match=words):
        build(kind, parse(text))


@pytest.mark.parametrize("text", ["", "vp(", "vp(1)", "vp(a=1)b", "vp(a=)", "[1]", "3", "a.b", "x(" * 50, "vp(a='b)"])
def test_what_is_no_name_with_arguments_is_refused(text):
    with pytest.raises(ValueError, match="is not a name with arguments"):
        parse(text)


def test_the_name_of_the_field_comes_before_the_spelling():
    assert nearest("resnet", ["unet", "reset"], {"resnet": "unet"}) == "did you mean 'unet'?"
    assert nearest("resnet", ["reset"], {"resnet": "unet"}) == "did you mean 'reset'?"
    assert nearest("q", ["alpha"]) == "known: alpha"


def test_a_number_keeps_its_text():
    value = number("1e5")
    assert (value, value.text) == (1e5, "1e5")
    assert to_text(spec("vp", beta_max=value)) == "vp(beta_max=100000.0)"
    with pytest.raises(ValueError, match="is not a number"):
        number("1_0")
    assert check_spec({"name": "vp"}, "sde") == spec("vp")
