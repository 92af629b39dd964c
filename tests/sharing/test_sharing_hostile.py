"""Folders from outside: every damage is one sentence, runs nothing and costs no memory."""

from __future__ import annotations

import json
import pickle
import struct
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.sharing.models import EVENT, MODELS, from_pretrained, save_pretrained

resource = pytest.importorskip("resource")

MEMORY = 200  # MiB that a refusal may take at most


@pytest.fixture
def shared(tmp_path) -> Path:
    return written(tmp_path / "shared", "mlp")


def written(path: Path, name: str) -> Path:
    """A folder whose description may be changed: its weights carry no digest of it, as those that another program wrote."""
    save_pretrained(path, *MODELS[name](), EVENT)
    save_file(load_file(path / "model.safetensors"), path / "model.safetensors")
    return path


@pytest.fixture
def refused(shared):
    """Opens the folder, which must be refused with one sentence, in little time and memory; the sentence."""

    def run() -> str:
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
        with pytest.raises(ValueError) as found:  # noqa: PT011
            from_pretrained(shared)
        assert time.perf_counter() - began < 5
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MEMORY * 1024
        words = str(found.value)
        assert "\n" not in words
        assert len(words) < 700
        return words

    return run


def change(shared: Path, **parts) -> None:
    path = shared / "config.json"
    config = json.loads(path.read_text())
    for name, value in parts.items():
        config[name] = {**config[name], **value} if isinstance(value, dict) else value
    path.write_text(json.dumps(config))


class Bomb:
    """Unpickling it leaves a file behind."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def test_a_bin_beside_safetensors_is_passed_over_with_a_warning(shared, tmp_path):
    (shared / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    with pytest.warns(UserWarning, match="pytorch_model.bin may be a pickle and is not opened"):
        from_pretrained(shared)
    assert not (tmp_path / "canary").exists()
    (shared / "model.safetensors").unlink()
    with pytest.raises(ValueError, match="may be a pickle"):
        from_pretrained(shared)


@pytest.mark.parametrize("name", ["model.ckpt", "optimizer.pt", "x.PKL", "model.safetensors"])
def test_pickles_are_refused_and_not_opened(name, shared, refused, tmp_path):
    (shared / name).write_bytes(pickle.dumps(Bomb(tmp_path / "canary")))
    assert ("may be a pickle" if name != "model.safetensors" else "no sound safetensors") in refused()
    assert not (tmp_path / "canary").exists()
    pickle.loads((shared / name).read_bytes())
    assert (tmp_path / "canary").exists(), "the bomb is a dud"


def header(content: dict, data: bytes = b"") -> bytes:
    text = json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(shape: list[int], offsets: list[int], dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": offsets}


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 10**12) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        header({"a": tensor([2**40], [0, 2**42])}, b"1234"),
        header({"a": tensor([2**40], [0, 4])}, b"1234"),
        header({"a": tensor([2**62, 2**62], [0, 4])}, b"1234"),
        header({"a": tensor([2], [0, 8]), "b": tensor([2], [4, 12])}, b"0" * 12),
        header({"a": tensor([1], [0, 4])}, b"0" * 12),
        header({"a": tensor([-1], [0, 4])}, b"0" * 4),
        header({"a": tensor([1], [0, 4], "F99")}, b"0" * 4),
        b"",
        b"\0" * 7,
        b"[" * 100_000,
        struct.pack("<Q", 100_000) + b"[" * 100_000,
    ],
    ids=range(13),
)
def test_damaged_weights(content, shared, refused):
    (shared / "model.safetensors").write_bytes(content)
    assert "no sound safetensors" in refused()


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_cut_weights(kept, shared, refused):
    whole = (shared / "model.safetensors").read_bytes()
    (shared / "model.safetensors").write_bytes(whole[: int(kept * len(whole))])
    assert "no sound safetensors" in refused()


def test_missing_files(shared, refused):
    (shared / "model.safetensors").unlink()
    assert "no such file" in refused()
    (shared / "config.json").unlink()
    assert "no such file" in refused()
    with pytest.raises(ValueError, match="is no folder"):
        from_pretrained(shared / "README.md")
    with pytest.raises(ValueError, match="is no folder"):
        from_pretrained("../../nowhere")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "cannot be read"),
        ("[]", "no JSON object"),
        ("{" * 5000, "cannot be read"),
        ('{"a":' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"a":' + "[" * 50 + "]" * 50 + "}", "nests them deeper"),
        (json.dumps({"a": [0] * 50_000}), "more than 20000 values"),
        (" " * 2**21, "at most"),
        ('{"format": "other"}', "no description of a model"),
    ],
    ids=range(8),
)
def test_damaged_descriptions(text, words, shared, refused):
    (shared / "config.json").write_text(text)
    assert words in refused()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"network": {"name": "mpl"}}, "did you mean 'mlp'"),
        ({"network": {"name": "../../evil"}}, "no network is called"),
        ({"network": {"name": "os.system"}}, "no network is called"),
        ({"network": {"wdith": 3}}, "did you mean 'width'"),
        ({"network": []}, "a name or a mapping"),
        ({"process": {"beta_max": -1.0}}, "beta_min <= beta_max"),
        ({"process": {"name": "__class__"}}, "no process is called"),
        ({"parameterization": {"data_std": "x"}}, "nothing that can be built"),
        ({"surprise": 1}, "does not know 'surprise'"),
        ({"version": 3}, "of version 2"),
        ({"event_shape": [2, -4]}, "what the samples are"),
        ({"event_shape": [2**40]}, "what the samples are"),
        ({"std": 0.0}, "what the samples are"),
        ({"std": float("nan")}, "what the samples are"),
        ({"network": {"width": 17}}, "another network"),
        ({"network": {"width": 2**40}}, "beyond 1048576"),
        ({"network": {"width": 2**20}}, "another network"),
        ({"network": {"width": float("inf")}}, "not finite"),
        ({"network": {"depth": 2**20}}, "more layers than there are weights"),
        ({"network": {"classes": 2**20}}, "another network"),
    ],
)
def test_descriptions_of_what_cannot_be(parts, words, shared, refused):
    change(shared, **parts)
    assert words in refused()


def test_events_too_large_for_what_a_network_computes_for_itself(tmp_path):
    """The weights of a DiT do not depend on the event's size, the table of places does."""
    shared = written(tmp_path / "dit", "dit")
    change(shared, network={"event_shape": [2, 2**20, 2**20]})
    with pytest.raises(ValueError, match="too large to be true"):
        from_pretrained(shared)


def test_weights_of_several_dtypes_are_refused(shared, refused):
    from safetensors.torch import load_file, save_file

    weights = load_file(shared / "model.safetensors")
    name = min(weights)
    save_file({**weights, name: weights[name].to(torch.float64)}, shared / "model.safetensors")
    assert "several dtypes" in refused()


def test_a_missing_field_is_named(shared, refused):
    path = shared / "config.json"
    config = json.loads(path.read_text())
    del config["process"]
    path.write_text(json.dumps(config))
    assert "'process'" in refused()
