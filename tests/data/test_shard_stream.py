"""Streams of tar shards: every sample once an epoch, none of the held-out ones, and from any state the same that would have come."""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.data import by_name
from sde_diffusion.data.image_shards import ImageShards
from sde_diffusion.data.moments import Moments
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.shard_stream import ShardStream
from sde_diffusion.data.shards import shards_at
from sde_diffusion.data.split import place_of
from sde_diffusion.data.stream import Followed
from sde_diffusion.data.stream_order import OneSide, ShuffledBlocks
from sde_diffusion.data.stream_source import Census
from sde_diffusion.data.tables import table_of
from sde_diffusion.data_paths import source_at
from tests.data.test_image_shards import PICTURES, png, write

COUNT = 60
VALUES = np.random.default_rng(6).normal([3, -40], [1, 5], (COUNT, 2))
WITHIN = 0.2


def npy(values: np.ndarray) -> bytes:
    found = io.BytesIO()
    np.save(found, values)
    return found.getvalue()


def members(row: int) -> list[tuple[str, bytes]]:
    """An array, its class and its number."""
    return [(f"{row:03d}.x.npy", npy(VALUES[row])), (f"{row:03d}.cls", b"abc"[row % 3 : row % 3 + 1])]


@pytest.fixture
def shards(tmp_path) -> Path:
    """Sixty samples in four shards of 15."""
    (tmp_path / "shards").mkdir()
    for number in range(4):
        rows = range(15 * number, 15 * number + 15)
        write(tmp_path / f"shards/part-{number}.tar", [one for row in rows for one in members(row)])
    return tmp_path / "shards"


def stream_of(path: Path, **more) -> ShardStream:
    return ShardStream(str(path), held_out=WITHIN, **more)


def numbers(x: torch.Tensor) -> list[int]:
    """The rows of `VALUES` that samples are."""
    found = (x[:, None].double() - torch.from_numpy(VALUES)).abs().sum(-1).argmin(1).tolist()
    assert torch.equal(x, torch.from_numpy(VALUES[found]).float())
    return found


def held(path: Path, seed: int = 0) -> set[int]:
    """Those whose keyed hash lies below the share, by their shards and keys alone."""
    names = {row: f"part-{row // 15}.tar/{row:03d}".encode() for row in range(COUNT)}
    return {row for row, name in names.items() if place_of(name, seed) < WITHIN}


@pytest.mark.parametrize("shuffle", [1, 4, 1000])
def test_every_training_sample_once_an_epoch_and_no_held_out_one(shards, shuffle):
    source = stream_of(shards, shuffle=shuffle)
    wanted = set(range(COUNT)) - held(shards)
    assert source.census.counts == {"train": len(wanted), "held_out": COUNT - len(wanted)}
    table = table_of(source)
    epochs = [numbers(table.rows(torch.arange(len(wanted)) + e * len(wanted)).x) for e in range(3)]
    assert all(sorted(epoch) == sorted(wanted) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert numbers(source.tensors("held_out")[0])
    assert set(numbers(source.tensors("held_out")[0])) == held(shards)
    assert epochs[0] != sorted(epochs[0])


def test_labels_go_with_their_samples(shards):
    source = stream_of(shards)
    assert source.class_names == ("a", "b", "c")
    for batch in (
        table_of(source, True).rows(torch.arange(30)),
        table_of(source, True).examples.rows(torch.arange(30)),
    ):
        assert batch.condition["label"].tolist() == [row % 3 for row in numbers(batch.x)]
    x, labels = source.tensors("held_out")
    assert labels.tolist() == [row % 3 for row in numbers(x)]
    assert by_name("shard_stream", path=str(shards), labels=False).class_names is None


def test_a_side_is_a_samples_own(shards, tmp_path):
    """Another share of the seed, another shard beside, another order: no sample that was held out is trained on."""
    before = {row for row in numbers(stream_of(shards).tensors("held_out")[0])}
    (shards / "part-3.tar").unlink()
    write(shards / "part-9.tar", [(f"{k}.x.npy", npy(VALUES[0] + 1 + k)) for k in range(20)])
    found = stream_of(shards, shuffle=7, labels=False).tensors("held_out")[0]
    kept = {row for row in before if row < 45}
    old = (found[:, None].double() - torch.from_numpy(VALUES)).abs().sum(-1).amin(1) < 1e-4
    assert set(numbers(found[old])) == kept
    assert held(shards, 1) != held(shards, 0)


@pytest.mark.parametrize("shuffle", [1, 4])
def test_from_any_position_the_same_follows(shards, shuffle):
    """The state after each sample, through JSON, in two epochs."""
    source = stream_of(shards, shuffle=shuffle)
    inner = OneSide(source.items(), source.name_of, source.held_out, 0, held_out=False)
    stream = inner if shuffle == 1 else ShuffledBlocks(inner, shuffle, 0)
    for epoch in (0, 1):
        one = copy.deepcopy(stream)
        one.set_epoch(epoch)
        names, states = [], []
        for item in one:
            names.append(source.name_of(item))
            states.append(json.loads(json.dumps(one.state_dict())))
        assert len(set(names)) == source.census.counts["train"]
        for at in range(0, len(states), 3):
            other = copy.deepcopy(stream)
            other.set_epoch(epoch)
            other.load_state_dict(states[at])
            assert [source.name_of(item) for item in other] == names[at + 1 :]


@pytest.mark.filterwarnings("error")
def test_a_checkpoint_goes_on_from_its_state(shards):
    """Without the warning of a stream that is read from its beginning."""
    wanted, table = table_of(stream_of(shards)).rows(torch.arange(200)).x, table_of(stream_of(shards))
    for k in range(14):
        table.rows(table.order(0, k, 8))
    for step in (3, 9, 14):
        again = table_of(stream_of(shards))
        Followed(again, 8).load(json.loads(json.dumps(Followed(table, 8).state(max(step, 7)))))
        assert torch.equal(again.rows(again.order(0, max(step, 7), 8)).x, wanted[8 * max(step, 7) :][:8])


def test_moments_are_those_of_a_keyed_choice(shards):
    """Bounded, the same in any order, a choice of all: the smallest hashes."""
    source, wanted = stream_of(shards, examples=20), sorted(set(range(COUNT)) - held(shards))
    nearest = sorted(wanted, key=lambda row: place_of(f"part-{row // 15}.tar/{row:03d}".encode(), 0))[:20]
    assert numbers(source.tensors()[0]) == nearest
    found = Moments.of_table(table_of(source))
    assert found.mean.numpy() == pytest.approx(VALUES[nearest].mean(0))
    assert found.std.numpy() == pytest.approx(VALUES[nearest].std(0))
    assert numbers(stream_of(shards, examples=20, shuffle=1).tensors()[0]) == nearest


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_the_same_samples_in_the_same_order(shards):
    """Without blocks, from the shards in the order of the epoch."""
    wds = pytest.importorskip("webdataset")
    source = stream_of(shards, shuffle=1)
    ours = [(str(shard), key) for shard, (key, _) in source.items()]
    order = list(dict.fromkeys(shard for shard, _ in ours))
    theirs = [(one["__url__"], one["__key__"]) for one in wds.WebDataset(order, shardshuffle=False)]
    assert ours == theirs
    assert order != [str(one) for one in shards_at(str(shards))[1]]


def test_pictures_are_those_of_the_reader_at_random_places(tmp_path):
    for number in range(2):
        rows = range(6 * number, 6 * number + 6)
        write(tmp_path / f"{number}.tar", [(f"{row}.png", png(PICTURES[row])) for row in rows])
    how = {"held_out": 0.4, "size": [2, 4], "channels": 1}
    stream, files = ShardStream(str(tmp_path), **how), ImageShards(str(tmp_path), **how)
    assert (stream.event_shape, stream.levels) == (files.event_shape, 256)
    both = [torch.cat([one.tensors(split)[0] for split in ("train", "held_out")]) for one in (stream, files)]
    assert sorted(both[0].flatten(1).tolist()) == sorted(both[1].flatten(1).tolist())


def test_what_is_in_the_shards_decides_how_they_are_read(shards, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "p.tar", [("1.png", png(PICTURES[0]))])
    assert source_at("p.tar") == {"name": "image_shards", "path": "p.tar"}
    assert source_at("stream:p.tar") == {"name": "shard_stream", "path": "p.tar"}
    assert source_at("shards") == {"name": "shard_stream", "path": "shards"}
    assert source_at("shards/part-{0..3}.tar") == {"name": "shard_stream", "path": "shards/part-{0..3}.tar"}
    for place, count in (("shards/part-{0..2}.tar", 3), ("shards/part-{1,3}.tar", 2), ("sh*/part-?.tar", 4)):
        folder, found = shards_at(place)
        assert (folder, len(found)) == (shards, count)


def test_arrays_of_a_npz_and_of_columns_first(tmp_path):
    picture = np.asfortranarray(np.concatenate(PICTURES[:2]))
    whole = io.BytesIO()
    np.savez_compressed(whole, x=VALUES[:3].astype("f2"), y=picture)
    write(tmp_path / "x.tar", [(f"{k}.npz", whole.getvalue()) for k in range(20)])
    first = ShardStream(str(tmp_path / "x.tar"), sample="npz:x").tensors()[0][0]
    assert torch.equal(first, torch.from_numpy(VALUES[:3].astype("f2")).float())
    other = ShardStream(str(tmp_path / "x.tar"), sample="npz:y")
    assert other.levels == 256
    assert torch.equal(other.tensors()[0][0], from_levels(torch.from_numpy(picture.copy()).movedim(-1, 0)))


BAD = {
    "a pickle": (npy(np.array([1, {}], dtype=object)), "cannot be read as an array"),
    "a header that lies": (npy(VALUES[0])[:-16].replace(b"(2,), }", b"(9999999999,), }"), "says that it holds float64"),
    "nothing": (b"", "cannot be read as an array"),
    "not finite": (npy(np.array([1, np.nan])), "the sample '.*' of .* holds NaN or infinite numbers"),
    "another shape": (npy(VALUES[:2]), r"has shape \(2, 2\), and the first example \(2,\)"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sample_is_refused_by_its_name(shards, name):
    data, words = BAD[name]
    write(shards / "z.tar", [("bad.x.npy", data), ("bad.cls", b"a")])
    with pytest.raises(ValueError, match=words):
        table_of(stream_of(shards, seed=3)).rows(torch.arange(50))


def test_what_cannot_be_a_stream_is_refused(shards):
    for more, words in (
        ({"shuffle": 0}, "shuffle is at least 1"),
        ({"sample": "y.npy"}, "of which 0 are y.npy; name one"),
    ):
        with pytest.raises(ValueError, match=words):
            stream_of(shards, **more).tensors()
    write(shards / "z.tar", [("1.x.npy", npy(VALUES[0]))])
    with pytest.raises(ValueError, match=r"1 samples of .* have no class; leave out labels=True"):
        table_of(stream_of(shards, labels=True), True)
    assert "1 of 61 samples have no class: there are no labels" in stream_of(shards).summary()["notes"]
    with pytest.raises(ValueError, match="has no labels"):
        table_of(stream_of(shards), True)
    one = write(shards.parent / "one.tar", members(0))
    with pytest.raises(ValueError, match=r"holds (0|1) samples to train on and (0|1) held out"):
        stream_of(one).tensors()


def test_other_samples_are_other_data(shards):
    """The names and the sizes of all, the numbers of the first."""
    before = table_of(stream_of(shards)).digest()["data"]
    assert table_of(stream_of(shards)).digest()["data"] == before
    assert table_of(stream_of(shards, shuffle=2)).digest()["data"] != before
    found = Census.of(stream_of(shards)).identity
    rows = [one for row in range(45, 60) for one in members(row)]
    for changed in ([*rows[:-1], ("059.cls", b"a")], [*rows, ("059.txt", b"more")], rows[:-2]):
        write(shards / "part-3.tar", changed)
        assert Census.of(stream_of(shards)).identity != found
    write(
        shards / "part-3.tar", [(name, data.replace(VALUES[50].tobytes(), VALUES[51].tobytes())) for name, data in rows]
    )
    assert Census.of(stream_of(shards)).identity == found


@pytest.mark.slow
def test_a_model_learns_from_a_stream(shards):
    source = stream_of(shards, examples=48)
    model = DiffusionModel.for_data(source, labels=True, width=32, depth=2)
    model.fit(source, True, steps=60, batch_size=32, learning_rate=5e-3)
    wanted = table_of(source).examples.rows(torch.arange(source.size())).x
    assert model.class_names == ("a", "b", "c")
    assert torch.equal(model.standardization.shift.float(), wanted.double().mean(0).float())
    spread = (model.sample(300, nfe=12).mean(0) - wanted.mean(0)) / wanted.std(0)
    assert spread.abs().max() < 0.5
