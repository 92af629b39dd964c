"""`for_data` and `fit` take a source, a data set or a memory-mapped array as they take a tensor: the same model, bit for bit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from sde_diffusion import DiffusionModel
from sde_diffusion.cli import callback_settings
from sde_diffusion.cli.callback_settings import CallbackSettings, WatchedRun, callbacks_of
from sde_diffusion.data import standardised, tables
from sde_diffusion.data.base import DataSource
from sde_diffusion.data.standardised import StandardisedTable, in_memory
from sde_diffusion.data.tables import TensorTable
from sde_diffusion.model import default_objective
from sde_diffusion.training import ComputeSettings

X = (torch.arange(120).reshape(40, 3) * 37 % 101).to(torch.uint8)
LABELS = torch.arange(40) % 2
SHORT = {"steps": 5, "batch_size": 8, "log_every": 5, "learning_rate": 1e-2, "seed": 3}


@dataclass
class Source(DataSource):
    """X, which counts how often each row is read, and how many at once."""

    def __init__(self):
        self.classes, self.read, self.most = 2, torch.zeros(40), 0

    @property
    def event_shape(self):
        return (3,)

    def size(self, split="train"):
        return 40 if split == "train" else 6

    def batch(self, indices, split="train"):
        if split == "train":
            self.read[indices] += 1
        self.most = max(self.most, len(indices))
        return X[indices].float(), LABELS[indices]


class Rows(Dataset):
    """The same as a data set of pairs."""

    classes = ("0", "1")

    def __len__(self):
        return 40

    def __getitem__(self, number):
        return X[number].float(), int(LABELS[number])


def mapped(folder):
    np.save(folder / "x.npy", X.numpy())
    return np.load(folder / "x.npy", mmap_mode="r")


GIVEN = {
    "uint8 tensor": lambda folder: (X, LABELS),
    "memory-mapped uint8": lambda folder: (mapped(folder), LABELS),
    "source": lambda folder: (Source(), True),
    "data set": lambda folder: (Rows(), True),
    "source and other labels": lambda folder: (Source(), LABELS),
    "lists": lambda folder: (X.float().tolist(), LABELS.tolist()),
}


def fitted(x, labels, folder=None):
    model = DiffusionModel.for_data(x, labels, width=8, depth=1)
    return model.fit(x, labels, folder=folder, **SHORT)


@pytest.fixture(scope="module")
def usual():
    return fitted(X.float(), LABELS)


@pytest.mark.parametrize("few", [True, False], ids=["at once", "a batch at a time"])
@pytest.mark.parametrize("name", GIVEN)
def test_any_data_give_the_model_of_the_tensor(usual, tmp_path, monkeypatch, name, few):
    monkeypatch.setattr(standardised, "FEW", 2**24 if few else 0)
    model = fitted(*GIVEN[name](tmp_path), tmp_path / "run")
    assert (model.data_digest, model.classes) == (usual.data_digest, 2)
    assert torch.equal(model.standardization.scale, usual.standardization.scale)
    for name, value in usual.denoiser.state_dict().items():
        assert torch.equal(model.denoiser.state_dict()[name], value), name
    again = fitted(X.float(), LABELS, tmp_path / "run")
    assert again.trained, "the tensor goes on with the run of any of them"


@pytest.mark.parametrize("few", [True, False], ids=["at once", "a batch at a time"])
def test_conditions_of_ones_own_reach_the_network(monkeypatch, few):
    """And those of another number of rows are refused."""
    monkeypatch.setattr(standardised, "FEW", 2**24 if few else 0)
    seen = []

    class Own(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, x, t, height):
            seen.append((x, height))
            return self.scale * x

    model = DiffusionModel.for_data(X, network=Own())
    height = torch.arange(40.0)[:, None]
    model.fit(X, condition={"height": height}, label_dropout=0.0, compute=ComputeSettings(threads=1), **SHORT)
    assert len(seen) == 5
    assert torch.cat([one for _, one in seen]).unique().numel() == 40, "one epoch"
    with pytest.raises(ValueError, match="one row for each of 40 samples"):
        model.fit(X, condition={"height": height[:3]}, **SHORT)


def test_large_data_are_read_a_batch_at_a_time(monkeypatch):
    """Once for the moments, once for the digest, then by the batches alone, and never many rows at once."""
    monkeypatch.setattr(standardised, "FEW", 0)
    monkeypatch.setattr(tables, "NUMBERS", 12)
    monkeypatch.setattr("sde_diffusion.training.data_check.NUMBERS", 12)
    source = Source()
    fitted(source, True)
    assert source.most == SHORT["batch_size"]
    drawn = SHORT["steps"] * SHORT["batch_size"] / 40
    looks = 2 * (1 + 4) + SHORT["batch_size"]  # shapes, the scale that a warning looks at, the choice of threads
    assert 2 * 40 + drawn * 40 <= source.read.sum() <= 2 * 40 + drawn * 40 + looks


def test_a_table_that_is_read_whole_has_the_rows_of_the_one_that_is_not():
    model = DiffusionModel.for_data(X, width=8, depth=1)
    table = StandardisedTable(TensorTable(X.float(), {"label": LABELS}), model.standardization, torch.float64)
    numbers = torch.tensor([3, 39, 3])
    one, other = table.rows(numbers), in_memory(table).rows(numbers)
    assert one.x.dtype == torch.float64
    assert torch.equal(one.x, other.x)
    assert torch.equal(one.condition["label"], other.condition["label"])
    assert table.digest() == in_memory(table).digest()


def test_a_sources_own_digest_spares_reading_it_and_covers_the_standardisation():
    class Known(Source):
        def digest(self, split):
            return "known"

    source = Known()
    model, other = (DiffusionModel.for_data(x, width=8, depth=1) for x in (X, X[:5]))
    tables_ = [
        StandardisedTable(tables.SourceTable(source, False), one.standardization, torch.float32)
        for one in (model, other)
    ]
    first, second = (table.digest()["data"] for table in tables_)
    assert first != second
    assert not source.read.any()


@pytest.mark.parametrize(
    ("x", "labels", "words"),
    [
        (X, True, "labels=True takes those of a source"),
        (torch.utils.data.TensorDataset(X), True, "labels=True takes those of a source"),
        (torch.zeros(0, 2), None, r"shape \(N, \*E\), got \(0, 2\)"),
        (torch.zeros(5, dtype=torch.uint8), None, r"x\[:, None\]"),
    ],
)
def test_what_cannot_be_read_is_refused(x, labels, words):
    with pytest.raises(ValueError, match=words):
        DiffusionModel.for_data(x, labels)


def test_a_data_sets_classes_are_the_models():
    class Named(Rows):
        classes = ("left", "right")

    assert DiffusionModel.for_data(Named(), True, width=8, depth=1).class_names == ("left", "right")


def test_a_source_of_other_classes_is_refused():
    model = DiffusionModel.for_data(X, torch.arange(40) % 3, width=8, depth=1)
    with pytest.raises(ValueError, match="the data have 2 classes and this model 3"):
        model.fit(Source(), True, **SHORT)


def test_callbacks_read_few_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(callback_settings, "LOOKED_AT", 15)
    source = Source()
    model = DiffusionModel.for_data(X, width=8, depth=1)
    callbacks_of(CallbackSettings(), WatchedRun(tmp_path, model, default_objective(), source, 0))
    assert source.most == 5
    assert source.read.sum() == 5
