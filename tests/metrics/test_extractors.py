"""Extractors: any callable will do; Inception sees the right bytes, and a file of weights runs nothing."""

from __future__ import annotations

import os
import pickle
import sys
from types import ModuleType

import pytest
import torch
from safetensors.torch import save_file

from sde_diffusion.metrics import extracted, inception, pixels
from sde_diffusion.metrics.extractors.inception import INSTALL, to_bytes

FIDELITY, METRICS = "torch_fidelity.feature_extractor_inceptionv3", "torchmetrics.image.fid"


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_any_callable_is_an_extractor_and_chunks_change_nothing():
    x = normal(10, 1, 4, 4)
    torch.testing.assert_close(extracted(pixels(), x, chunk=3), x.reshape(10, 16))
    assert extracted(lambda part: part.mean(dim=(2, 3)), x, chunk=4).shape == (10, 1)
    for wrong in (lambda part: part, lambda part: part.flatten(1)[:1]):
        with pytest.raises(ValueError, match=r"an extractor makes features \(N, D\)"):
            extracted(wrong, x)
    with pytest.raises(ValueError, match="at least one example"):
        extracted(pixels(), x[:0])


def test_pictures_of_eight_bits_get_their_bytes_back():
    levels = torch.arange(256).reshape(1, 1, 16, 16)
    x = levels.float().mul(2).div(255).sub(1)
    bytes_ = to_bytes(x)
    assert bytes_.shape == (1, 3, 16, 16)
    assert bytes_.dtype == torch.uint8
    assert torch.equal(bytes_.long(), levels.expand(1, 3, 16, 16))
    assert to_bytes(torch.tensor([-9.0, -1.0, 0.0, 9.0]).reshape(1, 1, 2, 2))[0, 0].flatten().tolist() == [
        0,
        0,
        128,
        255,
    ]
    colour = normal(2, 3, 5, 5).clamp(-1, 1)
    assert (to_bytes(colour).float() / 127.5 - 1 - colour).abs().max() <= 1 / 255 + 1e-6
    for shape in ((2, 2), (2, 4, 5, 5)):
        with pytest.raises(ValueError, match=r"pictures \(N, 1 or 3, H, W\)"):
            to_bytes(torch.zeros(shape))


def test_a_missing_extra_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, METRICS, None)
    with pytest.raises(ImportError) as refused:
        inception()
    assert str(refused.value).startswith(INSTALL)


@pytest.fixture(scope="module")
def network():
    """torch-fidelity's own Inception with the random weights of a seed; skipped without the extra."""
    module = pytest.importorskip(FIDELITY)
    pytest.importorskip(METRICS)

    class Untaught(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state):
            """It has none yet."""

    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(module, "load_state_dict_from_url", lambda *_, **__: None)
        made = Untaught("inception-v3-compat", ["64"])
    return made


@pytest.fixture(scope="module", params=["pth", "safetensors"])
def weights(request, network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / f"inception.{request.param}"
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    torch.save(state, path) if request.param == "pth" else save_file(state, path)
    return str(path)


def test_inceptions_features_are_those_of_the_original_graph(network, weights):
    """The resizing of TensorFlow, no antialiasing: equal to torch-fidelity, which was held against TensorFlow."""
    x = normal(3, 1, 20, 20).clamp(-1, 1)
    found = extracted(inception(weights, layer=64), x, chunk=2)
    assert found.shape == (3, 64)
    torch.testing.assert_close(found, network(to_bytes(x))[0])
    assert (found[0] - found[1]).abs().max() > 100 * (found - network(to_bytes(x))[0]).abs().max()
    other = extracted(inception(weights, layer=64, antialias=True), x[:, :, ::2, ::2].repeat(1, 1, 32, 32))
    assert not torch.allclose(other, extracted(inception(weights, layer=64), x[:, :, ::2, ::2].repeat(1, 1, 32, 32)))


class Stand(torch.nn.Module):
    """In the place of torchmetrics' network: one layer, that takes its state from a file as that one does."""

    def __init__(self, name, features, file, antialias):
        super().__init__()
        assert (name, antialias) == ("inception-v3-compat", False)
        self.layer = torch.nn.Linear(3, int(features[0]), bias=False)
        self.load_state_dict(torch.load(file, weights_only=True))

    def forward(self, x):
        return self.layer(x.float().mean(dim=(2, 3)))


STATE = {"layer.weight": normal(64, 3, seed=5)}


@pytest.fixture
def stand(monkeypatch):
    """The extra's two modules with `Stand` in them, so that how weights are read is tested where the extra is missing."""
    fidelity, metrics = (ModuleType(name) for name in (FIDELITY, METRICS))
    fidelity.URL_INCEPTION_V3, metrics.NoTrainInceptionV3 = "https://example.org/weights-6726825d.pth", Stand
    for name, module in ((FIDELITY, fidelity), (METRICS, metrics)):
        for parent in [name.rsplit(".", i)[0] for i in range(name.count("."), 0, -1)]:
            monkeypatch.setitem(sys.modules, parent, ModuleType(parent))
        monkeypatch.setitem(sys.modules, name, module)


def test_no_network_is_downloaded_unchecked(stand, monkeypatch):
    """The restricted reader and the checksum of the file's name."""
    asked = {}

    def load(url, **options):
        asked.update(options, url=url)
        return STATE

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", load)
    x = normal(4, 1, 6, 6).clamp(-1, 1)
    torch.testing.assert_close(inception(layer=64)(x), to_bytes(x).float().mean(dim=(2, 3)) @ STATE["layer.weight"].mT)
    assert asked.pop("url").endswith("-6726825d.pth")
    assert asked == {"check_hash": True, "weights_only": True}

    def unreachable(url, **options):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", unreachable)
    with pytest.raises(ValueError, match=r"name the file, as in inception\(weights='FILE'\)"):
        inception()


class Evil:
    def __init__(self, canary: str) -> None:
        self.canary = canary

    def __reduce__(self):
        return os.mkdir, (self.canary,)


def test_a_file_of_weights_runs_nothing(stand, tmp_path):
    canary, evil = tmp_path / "canary", tmp_path / "evil.pth"
    torch.save({"conv": Evil(str(canary))}, evil)
    plain = tmp_path / "plain.pth"
    plain.write_bytes(pickle.dumps(Evil(str(canary)), protocol=2))
    for path in (evil, plain):
        with pytest.raises(ValueError, match="no weights that can be read safely"):
            inception(str(path))
    assert not canary.exists()


def test_other_weights_are_refused(stand, tmp_path):
    other, listed = tmp_path / "other.pth", tmp_path / "list.pth"
    torch.save({"weight": torch.zeros(3)}, other)
    torch.save([1, 2], listed)
    for path, words in [(other, "weights of another network"), (listed, "holds list, not the state of a network"),
                        (tmp_path / "none.pth", "no weights that can be read safely"),
                        (tmp_path / "none.safetensors", "no weights that can be read safely")]:  # fmt: skip
        with pytest.raises(ValueError, match=words):
            inception(str(path))
    with pytest.raises(ValueError, match="the layer 64, 192, 768, 2048, got 5"):
        inception(str(other), layer=5)
