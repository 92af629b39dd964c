"""Checkpoints under damage and malice: what is not what was saved is refused, and the last good one is found."""

from __future__ import annotations

import json
import os
import random
import shutil
import struct
import warnings

import pytest
import torch
from torch import nn

from sde_diffusion.io.atomic import ASIDE, to_json
from sde_diffusion.training import (
    Checkpoint,
    CheckpointError,
    latest,
    load,
    load_average,
    save,
)
from sde_diffusion.training.checkpoints import manifest
from sde_diffusion.training.checkpoints.checkpoint import (
    checkpoints,
    prune,
    quarantine,
    verify,
)

FILES = ["ema.safetensors", "manifest.json", "model.safetensors", "optimizer.safetensors", "state.json"]


def small(step: int) -> Checkpoint:
    """A checkpoint with every kind of tensor that a model may hold."""
    g = torch.Generator().manual_seed(step)
    weights = {
        "w": torch.randn(3, 4, generator=g),
        "half": torch.randn(5, generator=g).bfloat16(),
        "count": torch.tensor(step),
        "none": torch.empty(0, 2),
        "transposed": torch.randn(4, 3, generator=g).T,
    }
    optimizer = {"w/step": torch.tensor(float(step)), "w/exp_avg": torch.randn(3, 4, generator=g)}
    return Checkpoint(step, weights, {"w": weights["w"] * 0.5}, optimizer, {"averaged": step, "x": 0.1 + 0.2})


@pytest.fixture
def three(tmp_path):
    """A folder of whole checkpoints of steps 1, 2 and 3."""
    for step in (1, 2, 3):
        save(tmp_path, small(step))
    return tmp_path


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_falls_back(folder, is_sentence):
    """Step 3 is refused in one sentence, step 2 is found with a warning, and nothing on the disk has changed."""
    before = snapshot(folder)
    for look in (verify, load):
        with pytest.raises(CheckpointError) as caught:
            look(folder / "step-000003")
        assert is_sentence(caught.value)
    with pytest.warns(UserWarning, match="falling back to step-000002") as said:
        assert latest(folder) == folder / "step-000002"
    assert len(said) == 1
    assert is_sentence(str(said[0].message))
    assert snapshot(folder) == before


def test_what_is_saved_is_loaded(three, same):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert latest(three) == three / "step-000003"
    for step in (1, 2, 3):
        assert same(vars(load(three / f"step-{step:06d}")), vars(small(step)))
    assert sorted(path.name for path in (three / "step-000001").iterdir()) == FILES
    assert sorted(path.name for path in three.iterdir()) == [f"step-00000{k}" for k in (1, 2, 3)]


def test_an_empty_folder_has_no_latest(tmp_path):
    assert latest(tmp_path) is None
    assert latest(tmp_path / "absent") is None


def test_tied_weights_survive(tmp_path, same):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    state = dict(model.state_dict())
    save(tmp_path, Checkpoint(1, state, state, {}, {}))
    other = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    other[1].weight = other[0].weight
    assert load_average(tmp_path / "step-000001", other) == 1
    assert same(dict(other.state_dict()), state)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.999])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_noticed(three, is_sentence, name, share):
    path = three / "step-000003" / name
    os.truncate(path, int(path.stat().st_size * share))
    assert_falls_back(three, is_sentence)


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_is_noticed(three, name):
    """40 bits of each file, drawn with a fixed seed; every bit of the first 8 bytes too."""
    path = three / "step-000003" / name
    whole = path.read_bytes()
    drawn = random.Random(0)
    for position in [*range(64), *(drawn.randrange(8 * len(whole)) for _ in range(40))]:
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << position % 8
        path.write_bytes(damaged)
        with pytest.raises(CheckpointError):
            verify(three / "step-000003")
    path.write_bytes(whole)
    verify(three / "step-000003")


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_noticed(three, is_sentence, name):
    (three / "step-000003" / name).unlink()
    assert_falls_back(three, is_sentence)


def test_a_file_or_an_empty_folder_in_its_place_is_noticed(three, is_sentence):
    shutil.rmtree(three / "step-000003")
    (three / "step-000003").write_text("hello")
    assert_falls_back(three, is_sentence)
    (three / "step-000003").unlink()
    (three / "step-000003").mkdir()
    assert_falls_back(three, is_sentence)


def test_exchanged_checkpoints_are_noticed(three, is_sentence):
    """Files that are whole but of another step, and a folder under another name."""
    shutil.copy(three / "step-000001/ema.safetensors", three / "step-000003/ema.safetensors")
    assert_falls_back(three, is_sentence)
    shutil.rmtree(three / "step-000003")
    shutil.copytree(three / "step-000001", three / "step-000003")
    assert_falls_back(three, is_sentence)


def test_all_bad_is_one_sentence_and_nothing_is_deleted(three, is_sentence):
    for path in three.iterdir():
        os.truncate(path / "model.safetensors", 10)
    before = snapshot(three)
    with pytest.raises(CheckpointError, match="none of the 3 checkpoints") as caught:
        latest(three)
    assert is_sentence(caught.value)
    assert snapshot(three) == before


# Malice: everything below carries a manifest that agrees with its files.


def forged(folder, name, content):
    (folder / name).write_bytes(content)
    (folder / "manifest.json").unlink()
    manifest.write(folder, 3)
    verify(folder)


def refused(folder, is_sentence):
    with pytest.raises(CheckpointError, match="foreign") as caught:
        load(folder)
    assert is_sentence(caught.value)


def safetensors(header, body=b""):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


HOSTILE = {
    "header of 1e12 bytes": struct.pack("<Q", 10**12) + b"{}",
    "shape of 2^40": safetensors({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}, b"1234"),
    "overlap": safetensors({n: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for n in "ab"}, b"1234"),
    "no header": b"",
    "a deep header": struct.pack("<Q", 100_000) + b"[" * 100_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors", "optimizer.safetensors"])
def test_hostile_safetensors_are_refused(three, is_sentence, kind, name):
    forged(three / "step-000003", name, HOSTILE[kind])
    refused(three / "step-000003", is_sentence)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[1]", b"[" * 100_000, b'{"a": '], ids=len)
def test_a_state_that_is_no_json_object_is_refused(three, is_sentence, content):
    forged(three / "step-000003", "state.json", content)
    refused(three / "step-000003", is_sentence)


LISTS = {
    "deep": b"[" * 100_000,
    "a list": b"[1]\n",
    "another format": {"format": "other", "version": 1, "step": 3},
    "a later version": {"format": manifest.FORMAT, "version": 2, "step": 3},
    "no step": {"format": manifest.FORMAT, "version": 1, "step": "3"},
    "files elsewhere": {"format": manifest.FORMAT, "version": 1, "step": 3, "files": {"../../x": {}}},
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_foreign_manifest_is_refused(three, is_sentence, kind):
    content = LISTS[kind]
    if isinstance(content, dict):
        body = {"files": {}, **content}
        content = to_json(body | {"sha256": manifest._digest(body)})
    (three / "step-000003/manifest.json").write_bytes(content)
    assert_falls_back(three, is_sentence)


@pytest.mark.parametrize(("padding", "fine"), [(2**19, True), (2**20, False)])
def test_a_huge_manifest_is_not_parsed(three, padding, fine):
    path = three / "step-000003/manifest.json"
    body = {name: value for name, value in json.loads(path.read_bytes()).items() if name != "sha256"}
    body["note"] = "x" * padding
    path.write_bytes(to_json(body | {"sha256": manifest._digest(body)}))
    if fine:
        verify(three / "step-000003")
        return
    with pytest.raises(CheckpointError, match="damaged or foreign"):
        verify(three / "step-000003")


@pytest.mark.parametrize("kind", ["shape", "dtype", "name"])
def test_weights_of_another_model_are_refused(tmp_path, is_sentence, kind):
    weights = {
        "shape": {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)},
        "dtype": {"weight": torch.zeros(2, 2), "bias": torch.zeros(2).double()},
        "name": {"weight": torch.zeros(2, 2), "offset": torch.zeros(2)},
    }[kind]
    save(tmp_path, Checkpoint(1, {}, weights, {}, {}))
    model = nn.Linear(2, 2)
    before = model.weight.clone()
    with pytest.raises(CheckpointError, match="another model") as caught:
        load_average(tmp_path / "step-000001", model)
    assert is_sentence(caught.value)
    assert torch.equal(model.weight, before)


def with_moments(folder, change):
    """The checkpoint of step 3 in the folder of a run, its optimizer's tensors put through `change`."""
    good = load(folder / "checkpoints/step-000003")
    bad = change(dict(good.optimizer), min(name for name in good.optimizer if name.endswith("/exp_avg")))
    shutil.rmtree(folder / "checkpoints")
    save(folder / "checkpoints", Checkpoint(**(vars(good) | {"optimizer": bad})))


def without(tensors, name):
    return {key: value for key, value in tensors.items() if key != name}


MOMENTS = {
    "shape": lambda c, name: c | {name: torch.zeros(1)},
    "dtype": lambda c, name: c | {name: c[name].double()},
    "absent": lambda c, name: without(c, name),
    "of no parameter": lambda c, name: c | {"nothing/exp_avg": torch.zeros(2)},
    "of another optimizer": lambda c, name: c | {name.replace("exp_avg", "momentum_buffer"): c[name]},
    "steps of a shape": lambda c, name: c | {name.replace("exp_avg", "step"): torch.zeros(3)},
}


@pytest.mark.parametrize("kind", MOMENTS)
def test_moments_of_another_model_are_refused(run, tmp_path, is_sentence, kind):
    """torch's fused kernel would read and write beyond them."""
    run(tmp_path).go(reports=3)
    with_moments(tmp_path, MOMENTS[kind])
    with pytest.raises(CheckpointError, match="foreign") as caught:
        run(tmp_path).go()
    assert is_sentence(caught.value)


# Durability: what a power cut would find, which no kill of a process shows.


def test_all_is_on_the_disk_before_it_gets_its_name(three, monkeypatch):
    """Every file is synchronised, the manifest after all others, then their folder; then the name, then its folder."""
    events, fsync, rename = [], os.fsync, os.rename

    def watched_fsync(handle):
        events.append(os.fstat(handle).st_ino)
        fsync(handle)

    def watched_rename(draft, final):
        names = {path.stat().st_ino: path.name for path in draft.iterdir()} | {draft.stat().st_ino: "draft"}
        assert not final.exists()
        assert sorted(names.values()) == sorted([*FILES, "draft"])
        events[:] = [names[inode] for inode in events]
        events.append("rename")
        rename(draft, final)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    save(three, small(4))
    assert sorted(events[:4]) == sorted(set(FILES) - {"manifest.json"})
    assert events[4:] == ["manifest.json", "draft", "rename", three.stat().st_ino]


# The folder as a run uses it.


def test_the_newest_are_kept(three):
    save(three, small(10))
    prune(three, keep=2, step=3)
    assert list(checkpoints(three)) == [2, 3, 10]  # what lies beyond the step is not counted
    prune(three, keep=1, step=10)
    assert list(checkpoints(three)) == [10]


def test_a_removal_that_is_cut_short_leaves_no_half_checkpoint(three, monkeypatch):
    def killed(folder, *args, **kwargs):
        next(iter(folder.iterdir())).unlink()
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        prune(three, keep=1, step=3)
    assert list(checkpoints(three)) == [2, 3]
    for path in checkpoints(three).values():
        verify(path)


def test_a_million_steps_are_in_order(tmp_path):
    for step in (999_999, 1_000_000):
        save(tmp_path, small(step))
    assert latest(tmp_path) == tmp_path / "step-1000000"


def test_nothing_is_overwritten(three, is_sentence):
    before = snapshot(three)
    with pytest.raises(FileExistsError, match="not overwritten") as caught:
        save(three, small(3))
    assert is_sentence(caught.value)
    assert snapshot(three) == before


def test_damaged_ones_are_set_aside_not_deleted(three):
    content = snapshot(three / "step-000003")
    quarantine(three, step=2)
    assert list(checkpoints(three)) == [1, 2]
    save(three, small(3))
    quarantine(three, step=2)
    assert snapshot(three / "damaged-step-000003") == content
    assert (three / "damaged-step-000003-1").is_dir()


def test_a_run_goes_on_past_a_damaged_checkpoint(run, same, tmp_path):
    whole = run(tmp_path / "whole")
    whole.go()
    run(tmp_path / "hurt", checkpoint_every=2, max_checkpoints=2).go(reports=6)
    os.truncate(tmp_path / "hurt/checkpoints/step-000006/ema.safetensors", 50)
    second = run(tmp_path / "hurt", checkpoint_every=2, max_checkpoints=2)
    with pytest.warns(UserWarning, match="falling back to step-000004"):
        assert [report.step for report in second.go()] == [5, 6, 7, 8, 9]
    assert same(second.weights(), whole.weights())
    names = sorted(path.name for path in (tmp_path / "hurt/checkpoints").iterdir())
    assert names == ["damaged-step-000006", "step-000008", "step-000009"]


def test_a_run_whose_checkpoints_are_all_bad_does_not_begin_again(run, tmp_path, is_sentence):
    run(tmp_path, checkpoint_every=3).go()
    for path in checkpoints(tmp_path / "checkpoints").values():
        (path / "manifest.json").unlink()
    before = snapshot(tmp_path / "checkpoints")
    with pytest.raises(CheckpointError, match="none of the 3") as caught:
        run(tmp_path).go()
    assert is_sentence(caught.value)
    assert snapshot(tmp_path / "checkpoints") == before


def test_orphans_are_swept_and_strangers_are_not(run, tmp_path):
    orphan = tmp_path / f"checkpoints/{ASIDE}step-000004-12345678"
    orphan.mkdir(parents=True)
    (orphan / "model.safetensors").write_bytes(b"half")
    (tmp_path / f"{ASIDE}metrics.jsonl-1").write_text("half")
    (tmp_path / "checkpoints/notes.txt").write_text("mine")
    assert latest(tmp_path / "checkpoints") is None
    run(tmp_path).go()
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["notes.txt", "step-000009"]
    assert not list(tmp_path.glob(ASIDE + "*"))
