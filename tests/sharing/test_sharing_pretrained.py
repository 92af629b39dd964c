"""A model that goes into a folder and comes back, number for number; what the folder says; what is not shared."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.denoisers.compiled import Compiled
from sde_diffusion.networks import TimeMLP
from sde_diffusion.networks.foreign import DiffusersBackbone
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.sharing import Card, Figure
from tests.sharing.models import EVENT, MODELS, from_pretrained, save_pretrained


@pytest.mark.parametrize("name", MODELS)
def test_a_round_trip_changes_no_bit(name, tmp_path):
    denoiser, sde = MODELS[name]()
    path = save_pretrained(tmp_path / "shared", denoiser, sde, EVENT, mean=0.25, std=1.5, run={"why": "a test"})
    again = from_pretrained(path, dtype=None)
    assert again.sde == sde
    assert again.denoiser.parameterization == denoiser.parameterization
    assert (again.event_shape, again.mean, again.std, again.run) == (EVENT, 0.25, 1.5, {"why": "a test"})
    assert again.prior == sde.prior(0.25, 1.5**2)
    assert not again.denoiser.training
    assert not any(parameter.requires_grad for parameter in again.denoiser.parameters())
    dtype = next(denoiser.parameters()).dtype
    x = torch.randn(3, *EVENT, dtype=dtype, generator=torch.Generator().manual_seed(1))
    condition = {"label": torch.tensor([0, 2, -1])} if name == "unet" else {}
    for part in (0.1, 0.9):
        kernel = sde.kernel(part * sde.horizon)
        assert torch.equal(again.denoiser(x, kernel, **condition), denoiser.eval()(x, kernel, **condition))


def test_opening_a_model_leaves_the_global_generator_alone(tmp_path):
    path = save_pretrained(tmp_path / "shared", *MODELS["mlp"](), EVENT)
    before = torch.get_rng_state()
    from_pretrained(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_folder_is_plain(tmp_path):
    path = save_pretrained(tmp_path / "shared", *MODELS["unet"](), EVENT)
    assert {entry.name for entry in path.iterdir()} == {"model.safetensors", "config.json", "README.md"}
    config = json.loads((path / "config.json").read_text())
    assert config["network"] == {
        "name": "unet", "channels": 2, "width": 8, "multipliers": [1, 2], "blocks": 1, "attention": [1], "classes": 3,
        "dropout": 0.0, "vector": None, "rank": 2, "checkpointing": False, "augment": 0, "context": 0, "patch": 1,
    }  # fmt: skip
    assert config["process"]["betas"] == [0.1, 0.2, 0.3]
    assert config["parameterization"] == {"name": "velocity", "data_std": 1.5}
    weights = MODELS["unet"]()[0].state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in load_file(path / "model.safetensors").items())


def test_the_card_says_what_was_measured_and_how(tmp_path):
    figure = Figure("FID", 3.25, samples=50000, seed=7, error=0.02)
    card = Card("A | model", "CIFAR-10", "data_adams/20", 21, [figure], "apache-2.0", "Made with care.")
    path = save_pretrained(tmp_path / "shared", *MODELS["unet"](), EVENT, card=card)
    text = (path / "README.md").read_text()
    assert text.startswith('---\nlibrary_name: sde-diffusion\nlicense: "apache-2.0"\n')
    for line in [
        "# A | model",
        "| trained on | CIFAR-10 |",
        "| solver | data_adams/20 |",
        "| evaluations of the network a sample | 21 |",
        "| FID | 3.25 +- 0.02 | 50000 | 7 |",
        "| events | 2 x 4 x 4 |",
        "Made with care.",
    ]:
        assert line in text.splitlines()
    with pytest.raises(ValueError, match="at least one sample"):
        Figure("FID", 3.0, samples=0, seed=0)


def test_a_folder_in_use_is_not_written_over_and_no_half_is_left(tmp_path, monkeypatch):
    model = MODELS["mlp"]()
    path = save_pretrained(tmp_path / "shared", *model, EVENT)
    with pytest.raises(OSError, match=r"not empty|exists"):
        save_pretrained(path, *model, EVENT)
    monkeypatch.setattr("sde_diffusion.sharing.pretrained.readme", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_pretrained(tmp_path / "other", *model, EVENT)
    assert [entry.name for entry in tmp_path.iterdir()] == ["shared"]


@pytest.mark.parametrize(
    "change",
    [{"std": 1.5}, {"process": {"name": "sub_vp"}}, {"standardization": {"shift": 0.5, "scale": 1.0}}],
    ids=str,
)
def test_a_description_changed_after_the_weights_were_saved_is_refused(change, tmp_path):
    """It decides the samples. Weights that another program has written again carry no digest, and are taken."""
    path = save_pretrained(tmp_path / "shared", *MODELS["mlp"](), EVENT)
    described = json.loads((path / "config.json").read_text())
    (path / "config.json").write_text(json.dumps({**described, "run": {"note": 1}}))
    from_pretrained(path)
    (path / "config.json").write_text(json.dumps({**described, **change}))
    with pytest.raises(ValueError, match=r"is not the one that model.safetensors was saved with"):
        from_pretrained(path)
    save_file(load_file(path / "model.safetensors"), path / "model.safetensors")
    from_pretrained(path)


def test_what_cannot_be_described_is_not_shared(tmp_path):
    class Mine(TimeMLP):
        pass

    model, process = Preconditioned(TimeMLP(2, width=8), EDMPreconditioning()), VP()
    for denoiser, words in [
        (Compiled(model), "got Compiled"),
        (Preconditioned(Mine(2, width=8), EDMPreconditioning()), "Mine is none of the implementations"),
        (
            Preconditioned(DiffusersBackbone(TimeMLP(2), float), EDMPreconditioning()),
            "DiffusersBackbone is none of the implementations",
        ),
        (Preconditioned(TimeMLP(2, width=np.int64(8)), EDMPreconditioning()), "no plain data"),
    ]:
        with pytest.raises(TypeError, match=words):
            save_pretrained(tmp_path / "shared", denoiser, process, (2,))
    with pytest.raises(TypeError, match="no plain data"):
        save_pretrained(tmp_path / "shared", model, VP(horizon=float("inf")), (2,))
    assert list(tmp_path.iterdir()) == []


def test_the_code_on_the_card_runs(tmp_path):
    path = save_pretrained(tmp_path / "shared", *MODELS["mlp"](), EVENT)
    code = (path / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code.replace("FOLDER OR NAME ON THE HUB", str(path)), names)
    assert names["x"].shape == (16, *EVENT)
