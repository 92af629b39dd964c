"""Conditions of samples in tar shards: numbers in JSON, arrays and captions, each in its sample's own row."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.conditions import CONTEXT, ConditionColumns
from sde_diffusion.data.captions import HashedNGrams
from sde_diffusion.data.shard_stream import ShardStream
from tests.data.test_image_shards import write
from tests.data.test_shard_stream import npy

COUNT, SIZE = 48, 8
WEIGHTS = np.random.default_rng(1).uniform(1, 3, COUNT)
POSES = np.random.default_rng(2).normal(size=(COUNT, 2))
CAPTIONS = ["a warm day", "a cold night"]
SHIFTS = np.array([6.0, -6.0])
FIELDS = ("json:size.weight", "pose.npy", "txt")


def value(row: int) -> np.ndarray:
    """Its first number says which row it is, the second depends on its weight and its caption."""
    return np.array([row, 2 * WEIGHTS[row] + SHIFTS[row % 2]])


def members(row: int) -> list[tuple[str, bytes]]:
    about = json.dumps({"size": {"weight": WEIGHTS[row]}, "words": CAPTIONS[row % 2]}).encode()
    parts = {"npy": npy(value(row)), "pose.npy": npy(POSES[row]), "txt": CAPTIONS[row % 2].encode(), "json": about}
    return [(f"{row:02d}.{kind}", data) for kind, data in parts.items()]


@pytest.fixture(scope="module")
def shards(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("conditions")
    for number in range(2):
        write(folder / f"{number}.tar", [one for row in range(number, COUNT, 2) for one in members(row)])
    return folder


def source_of(place: Path, **more) -> ShardStream:
    return ShardStream(str(place), **{"condition": FIELDS, "caption_size": SIZE, "held_out": 0.2, **more})


def wanted(rows: list[int]) -> torch.Tensor:
    texts = HashedNGrams(SIZE)([CAPTIONS[row % 2] for row in rows])
    return torch.cat([torch.tensor(WEIGHTS[rows])[:, None], torch.tensor(POSES[rows]), texts], dim=1)


def test_each_sample_has_its_own_condition(shards):
    source = source_of(shards)
    names = ("size.weight", "pose.0", "pose.1", *(f"txt.{k}" for k in range(SIZE)))
    assert (source.event_shape, source.condition_names, list(source.condition_encoders)) == ((2,), names, ["txt"])
    batch = source.stream().rows(torch.arange(60))
    assert torch.equal(batch.condition["condition"], wanted(batch.x[:, 0].int().tolist()))
    for split in ("train", "held_out"):
        x, _ = source.tensors(split)
        assert torch.equal(source.condition_rows(torch.arange(len(x)), split), wanted(x[:, 0].int().tolist()))
    assert source.summary()["passed_over"] == {}
    assert source_of(shards, condition="txt", sample="npy").summary()["passed_over"] == {
        ".json": source.size(), ".pose.npy": source.size()
    }  # fmt: skip


def test_a_caption_is_a_condition_in_words(shards):
    """The columns of a text are scaled alike, and a text stands for them."""
    columns = ConditionColumns.of(source_of(shards), True)
    again = ConditionColumns.of_dict(json.loads(json.dumps(columns.as_dict())))
    given = {"size.weight": 2.0, "pose.0": [0.5, 1.5, 0], "pose.1": -1, "txt": "a warm night"}
    rows = again.rows(3, given)
    assert torch.equal(rows[:, 3:], HashedNGrams(SIZE)(["a warm night"]).expand(3, SIZE))
    each = again.rows(3, given | {"txt": [*CAPTIONS, "other"]})
    assert torch.equal(each[:, 3:], HashedNGrams(SIZE)([*CAPTIONS, "other"]))
    assert again.context(rows)[:, 3:-1].norm(dim=1).tolist() == pytest.approx([SIZE**0.5] * 3)
    assert (again.spelt(), again.encoders) == (columns.spelt(), columns.encoders)
    assert columns.spelt() == "condition={'size.weight': ..., 'pose.0': ..., 'pose.1': ..., 'txt': ...}"
    for wrong, words in (
        ({**given, "txt": 3}, "is a text, or one for each"),
        ({**given, "text": "x"}, "has no column 'text'; it has a value for each of size.weight"),
    ):
        with pytest.raises(ValueError, match=words):
            again.rows(3, wrong)


@pytest.mark.parametrize(
    ("field", "data", "words"),
    [
        ("json:size.weight", b"{}", "has no 'size.weight' in a JSON object"),
        ("json:size.weight", b'{"size": {"weight": null}}', "is no real number"),
        ("json:size.weight", b'{"size": {"weight": [1, 2]}}', "it has 2 numbers, and the first example 1"),
        ("json:words", b'{"words": 3}', "it has 1 numbers, and the first example 8"),
        ("json:words", b'{"words": NaN}', "it has 1 numbers"),
        ("pose.npy", b"", "cannot be read as an array"),
        ("txt", b" ", "is empty, no text"),
        ("other", b"", "has no .other, a condition"),
    ],
)
def test_a_bad_condition_is_refused_by_its_sample(shards, tmp_path, field, data, words):
    rows = [one for row in range(10) for one in members(row)]
    bad = [("zz.npy", npy(value(0))), (f"zz.{field.partition(':')[0]}" if field != "other" else "zz.x", data)]
    write(tmp_path / "x.tar", [*rows, *bad])
    with pytest.raises(ValueError, match=words):
        source_of(tmp_path, condition=field, sample="npy", seed=2).stream().rows(torch.arange(60))


@pytest.mark.slow
def test_a_model_heeds_number_and_caption(shards):
    """p(x_1 | weight, caption) lies at 2 weight + shift of the caption; a paraphrase that shares its words is near it."""
    source = source_of(shards, condition=("json:size.weight", "txt"), sample="npy")
    model = DiffusionModel.for_data(source, condition=True, width=64, depth=3)
    model.fit(source, condition=True, steps=300, batch_size=32, learning_rate=5e-3)
    for k, caption in enumerate(CAPTIONS):
        for weight in (1.3, 2.7):
            x = model.sample(100, nfe=16, condition={"size.weight": weight, "txt": caption})
            assert float(x[:, 1].mean()) == pytest.approx(2 * weight + SHIFTS[k], abs=0.8)
    assert CONTEXT in model.condition(1, {"condition": {"size.weight": 2, "txt": "warm"}})
