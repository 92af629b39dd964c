"""Arrays of one's own in files: what is read, in which layout, and the sentences for what cannot be."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from sde_diffusion.data import by_name
from sde_diffusion.data.own_data import checked_rows
from sde_diffusion.data.split import held_out


def saved(tmp_path, values, name="x.npy") -> str:
    np.save(tmp_path / name, values)
    return str(tmp_path / name)


def everything(source) -> tuple[torch.Tensor, torch.Tensor | None]:
    """All samples and labels, those to train on first."""
    parts = [source.tensors(split) for split in ("train", "held_out")]
    labels = [labels for _, labels in parts if labels is not None]
    return torch.cat([x for x, _ in parts]), torch.cat(labels) if labels else None


def test_floats_are_taken_as_they_are_and_split_by_their_bytes(tmp_path):
    values = np.random.default_rng(0).normal(30, 5, (40, 2, 3))
    source = by_name("array_file", path=saved(tmp_path, values), held_out=0.25, seed=3)
    apart = held_out([row.tobytes() for row in values], 0.25, 3).numpy()
    assert source.event_shape == (2, 3)
    assert source.levels is source.classes is source.class_names is None
    assert torch.equal(source.tensors("held_out")[0], torch.from_numpy(values[apart].astype(np.float32)))
    assert torch.equal(source.tensors("train")[0], torch.from_numpy(values[~apart].astype(np.float32)))
    assert torch.equal(source.batch(torch.tensor([3, 0]))[0], source.tensors()[0][[3, 0]])


def test_a_row_that_is_added_or_moved_changes_the_side_of_no_other(tmp_path):
    values = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)
    more = np.concatenate([[[7.0, 7.0]], values[::-1]]).astype(np.float32)
    first = by_name("array_file", path=saved(tmp_path, values)).tensors("held_out")[0]
    second = by_name("array_file", path=saved(tmp_path, more, "more.npy")).tensors("held_out")[0]
    assert set(map(tuple, first.tolist())) <= set(map(tuple, second.tolist()))


def test_conditions_are_another_array_of_the_file_or_another_file(tmp_path):
    draws = np.random.default_rng(0)
    x, heights = draws.normal(size=(40, 1, 8)), draws.normal(30, 5, (40, 2))
    np.savez(tmp_path / "waves.npz", x=x, heights=heights, first=heights[:, 0], kind=np.arange(40) % 2)
    for name, columns in (
        ("heights", heights),
        ("first", heights[:, :1]),
        (saved(tmp_path, heights, "h.npy"), heights),
    ):
        source = by_name("array_file", path=str(tmp_path / "waves.npz"), key="x", labels="kind", conditions=name)
        assert source.condition_names == ("c0", "c1")[: columns.shape[1]]
        rows = torch.cat([source.condition_rows(torch.arange(source.size(s)), s) for s in ("train", "held_out")])
        found, _ = everything(source)
        order = [int(np.flatnonzero(x[:, 0, 0].astype(np.float32) == value)[0]) for value in found[:, 0, 0].numpy()]
        assert torch.equal(rows, torch.from_numpy(columns[order]))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.zeros((39, 2)), "40 samples and 39 conditions"),
        (np.zeros((40, 2, 2)), r"float64 of shape \(40, 2, 2\); give real numbers \(N, K\)"),
        (np.array(["a"] * 40), "give real numbers"),
        (np.full(40, np.nan), "conditions' holds numbers that are NaN"),
    ],
    ids=["few", "rank", "texts", "nan"],
)
def test_conditions_that_are_no_numbers_for_each_sample_are_refused(tmp_path, values, words):
    path, beside = saved(tmp_path, np.random.default_rng(0).normal(size=(40, 3))), saved(tmp_path, values, "c.npy")
    with pytest.raises(ValueError, match=words):
        by_name("array_file", path=path, conditions=beside).size()


LAYOUTS = {
    (6, 5, 7): ((1, 5, 7), "read as grey"),
    (6, 3, 5, 7): ((3, 5, 7), "images of 3 channels; "),
    (6, 5, 7, 3): ((3, 5, 7), "3 channels, put first"),
}


@pytest.mark.parametrize("shape", LAYOUTS)
def test_bytes_are_images_with_channels_first_in_minus_one_to_one(tmp_path, shape):
    values = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    expected, note = LAYOUTS[shape]
    source = by_name("array_file", path=saved(tmp_path, values))
    assert (source.event_shape, source.levels) == (expected, 256)
    assert note in source.summary()["notes"][0]
    first = values[:, None] if len(shape) == 3 else np.moveaxis(values, -1, 1) if shape[-1] == 3 else values
    rows = {tuple((2 * row.astype(np.float64) / 255 - 1).astype(np.float32).ravel().tolist()) for row in first}
    found = {tuple(row.flatten().tolist()) for row in everything(source)[0]}
    assert max(abs(np.array(sorted(rows)) - np.array(sorted(found))).ravel()) < 1e-6


def test_large_samples_are_checked_a_few_at_a_time():
    """Four of 64 MiB in float64, which take no memory of their own: beside one of them, less than three more."""
    values = np.broadcast_to(np.float32(1.0), (4, 2**23))
    tracemalloc.start()
    try:
        assert sum(1 for _ in checked_rows(values, "x.npy")) == 4
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**26
    finally:
        tracemalloc.stop()


def test_labels_by_key_and_by_file(tmp_path):
    x = np.arange(24.0).reshape(12, 2)
    kinds = np.array(["warm", "cold", "mild"] * 4)
    np.savez(tmp_path / "d.npz", x=x, kind=kinds)
    save_file({"x": x, "kind": np.array([2020, 2019] * 6)}, tmp_path / "d.safetensors")
    saved(tmp_path, np.arange(12) % 3, "y.npy")
    found, labels = everything(by_name("array_file", path=str(tmp_path / "d.npz"), labels="kind"))
    assert labels is not None
    names = by_name("array_file", path=str(tmp_path / "d.npz"), labels="kind").class_names
    assert names == ("cold", "mild", "warm")
    assert [names[k] for k in labels] == [kinds[int(row[0] / 2)] for row in found]
    years = by_name("array_file", path=str(tmp_path / "d.safetensors"), key="x", labels="kind")
    assert years.class_names == ("2019", "2020")
    other = by_name("array_file", path=saved(tmp_path, x), labels=str(tmp_path / "y.npy"))
    assert other.class_names == ("0", "1", "2")
    found, labels = everything(other)
    assert labels is not None
    assert [int(row[0] / 2) % 3 for row in found] == labels.tolist()


def test_an_array_on_the_disk_is_not_read_into_memory(tmp_path):
    source = by_name("array_file", path=saved(tmp_path, np.ones((4, 3)) * np.arange(4)[:, None]))
    source.size()
    assert isinstance(source._contents.values, np.memmap)


def _pickled(tmp_path) -> str:
    return saved(tmp_path, np.array([[1, 2], [3]], dtype=object))


def _truncated(tmp_path) -> str:
    path = saved(tmp_path, np.ones((10, 100)))
    with open(path, "r+b") as file:
        file.truncate(500)
    return path


def _file_of(name: str, content: bytes = b"no array"):
    def make(tmp_path) -> str:
        (tmp_path / name).write_bytes(content)
        return str(tmp_path / name)

    return make


def _values(values):
    return lambda tmp_path: saved(tmp_path, values)


WRONG = {
    "pickled": (_pickled, {}, "cannot be read .*allow_pickle|cannot be read .*objects"),
    "truncated": (_truncated, {}, "cannot be read"),
    "no npy": (_file_of("x.npy"), {}, "cannot be read"),
    "no zip": (_file_of("x.npz"), {}, "cannot be read"),
    "no safetensors": (_file_of("x.safetensors"), {}, "cannot be read"),
    "nothing": (_file_of("x.npy", b""), {}, "cannot be read"),
    "pickle by name": (_file_of("x.pt"), {}, r"is not one of .npy, .npz, .safetensors"),
    "absent": (lambda tmp_path: str(tmp_path / "none.npy"), {}, "is not there"),
    "a folder": (lambda tmp_path: str(tmp_path), {}, "is no file"),
    "one axis": (_values(np.ones(5)), {}, r"shape \(5,\), .*x\[:, None\]"),
    "empty": (_values(np.ones((0, 3))), {}, r"shape \(0, 3\)"),
    "texts": (_values(np.array([["a", "b"]])), {}, "not real numbers"),
    "complex": (_values(np.ones((4, 2), complex)), {}, "not real numbers"),
    "NaN": (_values(np.array([[1.0, 2], [3, np.nan], [4, 5]])), {}, "NaN, infinite .* in row 1 "),
    "too large": (_values(np.array([[1.0, 2], [3, 4], [4, -1e39]])), {}, "too large for float32, .* in row 2 "),
    "one kind": (_values(np.ones((5, 2))), {}, "5 items, 1 of them different"),
    "no key": (_values(np.eye(4)), {"key": "a"}, "holds no 'a', but one array"),
    "no labels": (_values(np.eye(4)), {"labels": "kind"}, "holds no 'kind'"),
    "channels": (_values(np.ones((4, 9, 8, 7), np.uint8)), {}, "channels are on neither side"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_used_is_one_sentence_that_names_the_file(tmp_path, case):
    make, options, words = WRONG[case]
    path = make(tmp_path)
    with pytest.raises(ValueError, match=words) as caught:
        by_name("array_file", path=path, **options).size()
    assert path in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_arrays_and_labels_of_another_number_are_refused(tmp_path):
    np.savez(tmp_path / "d.npz", a=np.eye(3), b=np.eye(3), y=np.arange(2))
    path = str(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="holds 3 arrays, a, b, y; choose one with key"):
        by_name("array_file", path=path).size()
    with pytest.raises(ValueError, match="holds 3 samples and 2 labels"):
        by_name("array_file", path=path, key="a", labels="y").size()
    np.savez(tmp_path / "e.npz", a=np.eye(3), y=np.array([-1, 0, 1]))
    with pytest.raises(ValueError, match="could be numbers or names of classes"):
        by_name("array_file", path=str(tmp_path / "e.npz"), labels="y").size()
