"""Data sets of Hugging Face's `datasets` on the disk: their columns, one after another, in an order that a state goes on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from sde_diffusion.data import by_name
from sde_diffusion.data.hugging_face_stream import HuggingFaceStream
from sde_diffusion.data.pixels import from_levels
from sde_diffusion.data.split import place_of
from sde_diffusion.data.stream import Followed
from sde_diffusion.data.tables import table_of
from sde_diffusion.data_paths import source_at

COUNT = 30
LEVELS = np.random.default_rng(2).integers(0, 256, (COUNT, 4, 6), dtype=np.uint8)
KINDS = ["right", "left", "none"]


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> Path:
    """The same pictures saved as a data set, as one of several splits, and as two parquet files."""
    datasets = pytest.importorskip("datasets", exc_type=ImportError)
    from PIL import Image

    datasets.disable_progress_bars()
    features = datasets.Features({
        "image": datasets.Image(), "kind": datasets.ClassLabel(names=KINDS), "weight": datasets.Value("float64"),
        "pose": datasets.Sequence(datasets.Value("float32")), "name": datasets.Value("string"),
    })  # fmt: skip
    rows = [
        {"image": Image.fromarray(LEVELS[i]), "kind": i % 2, "weight": i / 2, "pose": [i, -i], "name": f"n{i}"}
        for i in range(COUNT)
    ]
    data, folder = datasets.Dataset.from_list(rows, features=features), tmp_path_factory.mktemp("hf")
    data.save_to_disk(str(folder / "saved"))
    datasets.DatasetDict({"train": data, "test": data.select(range(5))}).save_to_disk(str(folder / "several"))
    (folder / "parquet").mkdir()
    for part in range(2):
        data.shard(2, part, contiguous=True).to_parquet(str(folder / f"parquet/{part}.parquet"))
    return folder


def source_of(places: Path, name: str, **more) -> HuggingFaceStream:
    more = {"column": "image", "label": "kind", "condition": ("weight", "pose"), "held_out": 0.2} | more
    return HuggingFaceStream(str(places / name), **more)


@pytest.mark.parametrize("name", ["saved", "several", "parquet"])
def test_every_training_row_once_an_epoch_with_its_class_and_condition(places, name):
    source = source_of(places, name)
    wanted = [i for i in range(COUNT) if place_of(str(i).encode(), 0) >= 0.2]
    assert (source.event_shape, source.levels, source.class_names) == ((1, 4, 6), 256, tuple(KINDS))
    assert source.condition_names == ("weight", "pose.0", "pose.1")
    assert source.census.counts == {"train": len(wanted), "held_out": COUNT - len(wanted)}
    table = table_of(source, labels=True)
    for epoch in range(2):
        batch = table.rows(torch.arange(len(wanted)) + epoch * len(wanted))
        rows = [round(2 * weight) for weight in batch.condition["condition"][:, 0].tolist()]
        assert sorted(rows) == wanted
        assert torch.equal(batch.x, from_levels(torch.from_numpy(LEVELS[rows])[:, None]))
        assert batch.condition["label"].tolist() == [row % 2 for row in rows]
        assert batch.condition["condition"][:, 1:].tolist() == [[row, -row] for row in rows]
        assert rows != sorted(rows)
    assert source.summary()["classes"] == {"right": 15, "left": 15, "none": 0}
    x, labels = source.tensors("held_out")
    conditions = source.condition_rows(torch.arange(len(x)), "held_out")
    assert sorted((2 * conditions[:, 0]).tolist()) == [i for i in range(COUNT) if i not in wanted]
    assert labels.tolist() == [round(2 * weight) % 2 for weight in conditions[:, 0].tolist()]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["saved", "parquet"])
def test_a_checkpoint_goes_on_from_its_state(places, name):
    """Through JSON, in the second epoch too, and without being read from the beginning."""
    wanted, table = table_of(source_of(places, name)).rows(torch.arange(80)).x, table_of(source_of(places, name))
    for step in range(14):
        table.rows(table.order(0, step, 5))
        state = json.loads(json.dumps(Followed(table, 5).state(step + 1)))
        again = table_of(source_of(places, name))
        Followed(again, 5).load(state)
        assert torch.equal(again.rows(again.order(0, step + 1, 5)).x, wanted[5 * step + 5 :][:5])


def test_a_key_is_what_a_row_is_to_the_split(places):
    source = source_of(places, "saved", key="name")
    found = source.condition_rows(torch.arange(source.size("held_out")), "held_out")[:, 0] * 2
    assert sorted(found.tolist()) == [i for i in range(COUNT) if place_of(f"n{i}".encode(), 0) < 0.2]


def test_what_is_no_data_set_is_refused(places, tmp_path):
    assert source_at("hf:some/folder") == {"name": "hugging_face_stream", "path": "some/folder"}
    for more, words in (
        ({"column": "x"}, "has no column 'x', but image, kind"),
        ({"column": None}, "has the columns image, kind, weight, pose, name; say which is the sample"),
        ({"condition": "name"}, "are conditions, and hold what is no number"),
    ):
        with pytest.raises(ValueError, match=words):
            source_of(places, "saved", **more).tensors()
    with pytest.raises(ValueError, match="has the splits train, test, and no 'x'"):
        source_of(places, "several", split="x").size()
    with pytest.raises(ValueError, match=r"is not there; name a folder of save_to_disk or parquet files"):
        by_name("hugging_face_stream", path=str(tmp_path / "x")).size()
    with pytest.raises(ValueError, match="no folder of save_to_disk, and holds no parquet files"):
        by_name("hugging_face_stream", path=str(tmp_path)).size()
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and more")
    with pytest.raises(ValueError, match="cannot be read as a data set"):
        by_name("hugging_face_stream", path=str(tmp_path)).size()
