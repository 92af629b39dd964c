"""The summary of a data set: counts and ranges of what is there, without reading files that are read when needed."""

from __future__ import annotations

import torch

from sde_diffusion.data.base import DataSource
from sde_diffusion.data.summary import lines_of, summary_of


class Made(DataSource):
    """Two samples to train on and one held out, of two classes."""

    classes, levels, event_shape, class_names = 2, None, (1, 2), ("a", "b")  # pyright: ignore

    def size(self, split: str = "train") -> int:
        return 2 if split == "train" else 1

    def batch(self, indices, split: str = "train"):
        first = 0 if split == "train" else 5
        return torch.stack([indices + first, -indices - first], 1)[:, None].float(), indices


class Files(Made):
    """The same of files, which nobody may read yet."""

    def files(self) -> None:
        """There are files."""

    def batch(self, indices, split: str = "train"):
        raise AssertionError("read")

    def summary(self):
        return {"classes": {"a": 2, "b": 1}, "changes": {"cropped": 3}, "notes": ["a note"]}


def test_both_splits_are_counted():
    found = summary_of(Made())
    assert found["samples"] == {"train": 2, "held_out": 1}
    assert found["range"] == [-5, 5]
    assert found["classes"] == {"a": 2, "b": 1}
    assert lines_of(found) == [
        "data: 2 samples of shape 1 x 2 to train on, 1 held out", "  numbers from -5 to 5", "  2 classes: a (2), b (1)"
    ]  # fmt: skip


def test_files_are_not_read_and_what_is_done_to_them_is_written_out():
    found = summary_of(Files())
    assert (found["range"], found["classes"]) == (None, {"a": 2, "b": 1})
    assert lines_of(found)[1:] == ["  2 classes: a (2), b (1)", "  changes: 3 cropped", "  a note"]
