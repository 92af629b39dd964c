"""Streams: a batch is a function of its position, however the stream is left and found again."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from sde_diffusion import DiffusionModel
from sde_diffusion.data import hugging_face
from sde_diffusion.data.stream import FIRST, KEPT, Followed, StreamTable
from sde_diffusion.data.tables import table_of
from sde_diffusion.sde import VP
from sde_diffusion.training import CheckpointError, ComputeSettings, train
from tests.training.conftest import Run, same

__all__ = ["same"]

COUNT = 11


def rows_of(count: int = COUNT) -> list[dict]:
    draws = np.random.default_rng(2)
    return [{"x": draws.normal(size=2).tolist(), "kind": i % 3, "number": i} for i in range(count)]


class Plain:
    """An iterable without a state; each epoch begins with another sample, and `opened` counts the epochs begun."""

    opened = 0

    def __init__(self, rows) -> None:
        self.rows, self.epoch = rows, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __iter__(self):
        Plain.opened += 1
        first = self.epoch % len(self.rows)
        return iter(self.rows[first:] + self.rows[:first])


class Stateful(Plain):
    """The same, which goes on from its state."""

    at = 0

    def __iter__(self):
        rows = list(super().__iter__())
        for at in range(self.at, len(rows)):
            self.at = at + 1
            yield rows[at]

    def state_dict(self):
        return {"at": self.at}

    def load_state_dict(self, state):
        self.at = state["at"]


class Forgetful(Stateful):
    """Its state leaves out two samples, as that of a shuffle buffer does."""

    def load_state_dict(self, state):
        self.at = state["at"] + 2


def hugging(shards: int = 3):
    datasets = pytest.importorskip("datasets")
    names = datasets.Features(
        {"x": datasets.Sequence(datasets.Value("float64")), "kind": datasets.ClassLabel(names=["a", "b", "c"]), "number": datasets.Value("int64")}
    )  # fmt: skip
    return datasets.Dataset.from_list(rows_of(), features=names).to_iterable_dataset(num_shards=shards)


def shuffled():
    return hugging().shuffle(seed=3, buffer_size=5)


MAKERS = {
    "plain": lambda: Plain(rows_of()),
    "stateful": lambda: Stateful(rows_of()),
    "forgetful": lambda: Forgetful(rows_of()),
    "datasets": hugging,
    "datasets, shuffled": shuffled,
    "other": lambda: Plain(rows_of()[1:]),
}


def made(name: str, **more) -> StreamTable:
    return hugging_face.stream(MAKERS[name](), "x", label="kind", names=["a", "b", "c"], **more)


def epochs(name: str, positions: int) -> torch.Tensor:
    """The first samples, read one after another without a table."""
    source, found, epoch = MAKERS[name](), [], 0
    while len(found) < positions:
        source.set_epoch(epoch)
        found += [torch.as_tensor(row["x"], dtype=torch.float32) for row in source]
        epoch += 1
        source = source if "datasets" in name else MAKERS[name]()
    return torch.stack(found[:positions])


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="the state of the stream does not hold all of it")
        yield


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_is_a_function_of_its_position(name):
    """Forwards, backwards, far back, across epochs, and by parts."""
    wanted, table = epochs(name, 60), made(name)
    for step in (0, 1, 2, 14, 3, 2, 0, 9, 9, 1):
        for part in range(2):
            numbers = table.order(7, step, 4, part, 2)
            assert torch.equal(table.rows(numbers).x, wanted[numbers])


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("step", [1, 3, 5, 6])
@pytest.mark.usefixtures("quiet")
def test_a_state_that_went_through_json_goes_on_exactly(name, step):
    wanted, first = epochs(name, 60), made(name)
    for k in range(step + 2):  # two batches ahead of the checkpoint
        first.rows(first.order(0, k, 4))
    state = json.loads(json.dumps(Followed(first, 4).state(step)))
    second = made(name)
    Followed(second, 4).load(state)
    for k in range(step, step + 5):
        assert torch.equal(second.rows(second.order(0, k, 4)).x, wanted[4 * k : 4 * k + 4])


@pytest.mark.parametrize("kind", ["d", 3, -1])
def test_a_class_that_has_no_name_is_refused(kind):
    columns = hugging_face.Columns("x", "kind", ("a", "b", "c"))
    assert [columns({"x": [1.0], "kind": one})[1]["label"] for one in ("c", 2)] == [2, 2]
    with pytest.raises(ValueError, match=f"a row has the class {kind!r}, and the classes are a, b, c"):
        columns({"x": [1.0], "kind": kind})


def test_a_state_is_not_read_through_again_and_one_that_forgets_is_noticed():
    """With a state nothing before the last batches is read; where it leaves samples out, all is read, with a warning."""
    table = made("stateful")
    for k in range(2):
        table.rows(table.order(0, k, 4))
    seen, again = [], made("stateful")
    again.row = lambda row: seen.append(row["number"]) or hugging_face.Columns("x", "kind", tuple("abc"))(row)
    Followed(again, 4).load(Followed(table, 4).state(2))
    assert seen == [0, 1, 2, 3, 4, 5, 6, 7]  # the batches that are remembered
    for k in range(2, 20):
        table.rows(table.order(0, k, 4))
    seen.clear()
    again.load(Followed(table, 4).state(20))
    assert len(seen) == KEPT * 4
    table = made("forgetful")
    for k in range(9):
        table.rows(table.order(0, k, 4))
    with pytest.warns(
        UserWarning, match="as with a shuffle buffer: it is read from its beginning up to sample 4 instead"
    ):
        Followed(made("forgetful"), 4).load(Followed(table, 4).state(2))


def test_other_data_are_refused():
    table = made("plain")
    for k in range(KEPT + 1):
        table.rows(table.order(0, k, 4))
    state = Followed(table, 4).state(KEPT + 1)
    other = hugging_face.stream(Plain(rows_of()[1:]), "x", label="kind", names=["a", "b", "c"])
    with pytest.raises(ValueError, match="gives other samples from number 4 on than before"):
        Followed(other, 4).load(state)
    with pytest.raises(ValueError, match="the place in the stream is none"):
        Followed(other, 4).load({"position": 3})


def test_few_states_are_remembered():
    table = made("stateful")
    for k in range(40):
        table.rows(table.order(0, k, 4))
    assert len(table.marks) == KEPT


def test_what_is_no_stream_is_refused():
    with pytest.raises(TypeError, match="gives its samples once"):
        StreamTable(iter([1]), hugging_face.Columns("x"))
    empty = hugging_face.stream([], "x")
    with pytest.raises(ValueError, match="gives no samples"):
        empty.rows(torch.arange(1))
    table = made("plain")
    with pytest.raises(TypeError, match="has no length"):
        len(table)
    with pytest.raises(ValueError, match="consecutive positions"):
        table.rows(torch.tensor([1, 0]))
    with pytest.raises(ValueError, match="no 'y'; name one of them"):
        hugging_face.stream(Plain(rows_of()), "y").rows(torch.arange(1))
    with pytest.raises(ValueError, match="the classes in 'kind' have no names"):
        hugging_face.stream(Plain(rows_of()), "x", label="kind")


class Streamed(Run):
    """The run of `conftest` on a stream."""

    def __init__(self, name, folder=None, workers=0, **changes):
        super().__init__(folder, **changes)
        self.name, self.compute = name, ComputeSettings(workers=workers)

    def reports(self):
        more = {"labels": True, "folder": self.folder, "ema": self.ema, "compute": self.compute}
        return train(self.denoiser, VP(), made(self.name), self.settings, **more)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ["plain", "forgetful", "datasets", "datasets, shuffled"])
@pytest.mark.parametrize("step", [1, 5])
def test_a_run_on_a_stream_goes_on_bit_for_bit(tmp_path, same, name, step):
    whole = Streamed(name)
    reports = whole.go()
    first = Streamed(name, tmp_path).go(step)
    second = Streamed(name, tmp_path)
    assert first + second.go() == reports
    assert same(second.weights(), whole.weights())


def torched():
    """In this format the library asks torch which worker it is in, and gives each a part of the shards."""
    return hugging().with_format("torch")


MAKERS["datasets for torch"] = torched


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", ["plain", "stateful", "datasets for torch"])
def test_workers_change_no_bit_and_a_run_may_go_on_with_others(tmp_path, same, name):
    """Left at a step and gone on with from the marks that the workers sent."""
    whole = Streamed(name)
    reports = whole.go()
    first = Streamed(name, tmp_path, workers=2).go(5)
    second = Streamed(name, tmp_path, workers=1)
    assert first + second.go() == reports
    assert same(second.weights(), whole.weights())


@pytest.mark.parametrize("name", ["stateful", "datasets", "datasets for torch"])
def test_reading_changes_nothing_of_what_is_read(name):
    """Copies of Hugging Face's data sets share their epoch in memory that all processes see, and skip a state of another."""
    iterable = MAKERS[name]()
    table = hugging_face.stream(iterable, "x", label="kind", names=["a", "b", "c"])
    table.rows(torch.arange(2 * COUNT + 3))
    assert iterable.epoch == 0
    assert getattr(iterable, "at", 0) == 0


def test_what_is_passed_over_is_not_decoded():
    """A worker decodes its own batches alone, and begins at the last mark of the process that trains."""
    table, seen = made("stateful"), []
    table.rows(table.order(0, 0, 4))
    apart = table.apart()
    apart.row = lambda row: seen.append(row["number"]) or hugging_face.Columns("x", "kind", tuple("abc"))(row)
    apart.rows(apart.order(0, 2, 3))
    assert seen == [6, 7, 8]
    assert apart.iterable is table.iterable
    assert not apart.marks[:-1]


def test_a_run_on_other_data_is_refused(tmp_path):
    Streamed("plain", tmp_path).go(2)
    other = Streamed("other", tmp_path)
    with pytest.raises(CheckpointError, match="is of another run: data is"):
        other.go()


def test_a_model_learns_from_a_stream():
    """Standardised by its first samples: the mean of the samples is that of the stream."""
    draws = np.random.default_rng(0).normal([50, -3], [2, 0.1], (500, 2))
    table = hugging_face.stream(Plain([{"x": one.tolist()} for one in draws]), "x")
    model = DiffusionModel.for_data(table.head(400), width=32, depth=2).fit(table, steps=150, batch_size=32)
    x = model.sample(400, nfe=12)
    assert (x.mean(0) - torch.tensor([50.0, -3.0])).abs().div(torch.tensor([2, 0.1])).max() < 0.5


def test_rows_of_a_map_style_data_set(same):
    datasets = pytest.importorskip("datasets")
    from PIL import Image

    levels = np.random.default_rng(4).integers(0, 256, (6, 4, 5, 3), dtype=np.uint8)
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["a", "b"])})
    data = datasets.Dataset.from_dict(
        {"image": [Image.fromarray(one) for one in levels], "label": [0, 1] * 3}, features=features
    )
    table = table_of(hugging_face.rows(data, "image", label="label"), labels=True)
    batch = table.rows(torch.tensor([4, 1]))
    assert torch.equal(batch.x, torch.from_numpy(levels[[4, 1]]).movedim(-1, 1) / 127.5 - 1)
    assert batch.condition["label"].tolist() == [0, 1]
    model = DiffusionModel.for_data(hugging_face.rows(data, "image", label="label"), labels=True, width=8, attention=())
    assert model.class_names == ("a", "b")
    with pytest.raises(TypeError, match="row 0 of Dataset holds image, label; say which"):
        table_of(data).rows(torch.arange(1))
    with pytest.raises(ValueError, match="the data have the columns image, label, and no 'x'"):
        hugging_face.rows(data, "x")
    with pytest.raises(TypeError, match="gives no row by its number; write stream"):
        hugging_face.rows(data.to_iterable_dataset(), "image")
    assert FIRST > 1
