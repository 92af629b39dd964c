"""Columns that a model is conditioned on: what the network is given of them, and what is refused in a sentence."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from sde_diffusion.conditions import ConditionColumns, conditions
from sde_diffusion.conditions.columns import rows_of
from sde_diffusion.data.base import DataSource

X = torch.zeros(200, 1)
ROWS = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([30.0, 5e5])
ROWS += torch.tensor([100.0, 1e9])
NAMED = {"power": ROWS[:, 0], "weight": ROWS[:, 1]}


@pytest.fixture
def columns() -> ConditionColumns:
    return ConditionColumns.of(X, NAMED, 0.2)


def test_the_network_gets_numbers_of_mean_zero_and_variance_one_and_a_one(columns):
    context = columns.context(ROWS)
    torch.testing.assert_close(context[:, :2].mean(0), torch.zeros(2, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(context[:, :2].std(0, correction=0), torch.ones(2, dtype=torch.float64))
    assert torch.equal(context[:, 2], torch.ones(200, dtype=torch.float64))
    mean = columns.context(ROWS.mean(0, keepdim=True))
    torch.testing.assert_close(mean, torch.tensor([[0.0, 0.0, 1.0]], dtype=torch.float64), atol=1e-6, rtol=0)
    assert not torch.equal(mean, torch.zeros_like(mean))  # the mean is a condition, and zeros are none


@pytest.mark.parametrize(
    "given",
    [
        {"weight": 2.0, "power": 1.0},
        {"weight": [2.0] * 3, "power": 1.0},
        {"weight": np.float32(2), "power": torch.tensor([1, 1, 1])},
        [1, 2],
        np.array([[1, 2]] * 3),
        torch.tensor([[1.0, 2.0]]),
    ],
    ids=str,
)
def test_one_row_for_all_and_one_for_each_are_the_same_numbers(columns, given):
    assert torch.equal(columns.rows(3, given), torch.tensor([[1.0, 2.0]] * 3, dtype=torch.float64))


def test_a_single_column_takes_a_number_and_numbers():
    one = ConditionColumns.of(X, ROWS[:, 0])
    assert one.names == ("c0",)
    for given in (1.0, [1.0, 1.0, 1.0], [1.0], {"c0": 1}):
        assert torch.equal(one.rows(3, given), torch.ones(3, 1, dtype=torch.float64))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"power": 1.0}, "lacks 'weight'; it has a number for each of power, weight"),
        ({"power": 1.0, "weight": 2.0, "speed": 3.0}, "has no column 'speed'"),
        ({"power": "fast", "weight": 2.0}, "the condition 'power' is a number or several, got 'fast'"),
        ({"power": [1.0, 2.0], "weight": 2.0}, r"one number, or one for each of the 3 samples, got \(2,\)"),
        ({"power": float("nan"), "weight": 2.0}, "the condition 'power' is nan in row 0"),
        (
            [1.0, 2.0, 3.0],
            r"one row for all samples, \(2,\), or one for each of the 3, \(3, 2\): power, weight; got \(3,\)",
        ),
        (torch.zeros(2, 2), r"got \(2, 2\)"),
        ("power", "the condition is a number or several"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(columns, given, words):
    with pytest.raises(ValueError, match=words):
        columns.rows(3, given)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.cat([ROWS[:, :1], torch.full((200, 1), 7.0)], 1), "the condition 'c1' is 7 in all rows"),
        ({"a": ROWS[:, 0], "b": torch.full((200,), 7.0)}, "the condition 'b' is 7 in all rows"),
        (torch.where(torch.arange(200)[:, None] == 3, torch.inf, ROWS), "the condition 'c0' is inf in row 3"),
        (ROWS[:7], "one row for each of the 200 samples, got 7"),
        (ROWS[:, :, None], r"conditions are numbers \(N, K\)"),
        ({}, "conditions by their names are columns"),
        (True, r"Tensor has none; give an array"),
        (np.array(["a"] * 200), "a number or several"),
    ],
    ids=["constant", "constant by name", "infinite", "few", "rank", "empty", "true", "texts"],
)
def test_training_conditions_that_teach_nothing_are_refused(given, words):
    with pytest.raises((ValueError, TypeError), match=words):
        ConditionColumns.of(X, given)


def test_far_outside_of_the_training_data_is_a_warning(columns):
    inside = {"power": float(ROWS[:, 0].max()) + 1, "weight": float(ROWS[0, 1])}
    conditions(1, {"condition": inside}, None, columns=columns)
    with pytest.warns(UserWarning, match=r"the condition power=9000 lies far outside of the training data"):
        conditions(1, {"condition": inside | {"power": 9000}}, None, columns=columns)


def test_none_is_left_out_where_the_model_learnt_a_law_without_one(columns):
    assert conditions(4, {}, None, columns=columns) == {}
    always = ConditionColumns.of(X, NAMED, 0.0)
    with pytest.raises(ValueError, match=r"always needs one; give condition=\{'power': ..., 'weight': ...\}"):
        conditions(4, {}, None, columns=always)
    with pytest.raises(ValueError, match="takes no condition"):
        conditions(4, {"condition": 1.0}, None)


def test_as_plain_data_and_back(columns):
    back = ConditionColumns.of_dict(json.loads(json.dumps(columns.as_dict())))
    assert torch.equal(back.context(ROWS), columns.context(ROWS))
    assert (back.names, back.dropout) == (columns.names, columns.dropout)
    assert torch.equal(back.low, columns.low)
    assert torch.equal(back.high, columns.high)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"names": ["power"]}, "one name for each column"),
        ({"names": ["power", "power"]}, "one name for each column"),
        ({"names": [1, 2]}, "have no names"),
        ({"low": [0.0]}, "one name for each column"),
        ({"high": [0.0, 0.0]}, "low is below high"),
        ({"dropout": 1.5}, r"a share in \[0, 1\], got 1.5"),
        ({"standardization": {"shift": [0.0, 0.0], "scale": [1.0, -1.0]}}, "scales are positive"),
        ({"more": 1}, "no record of columns"),
    ],
    ids=str,
)
def test_a_record_of_another_kind_is_refused(columns, change, words):
    with pytest.raises(ValueError, match=words):
        ConditionColumns.of_dict(columns.as_dict() | change)


def test_a_source_brings_its_own():
    class Source(DataSource):
        event_shape = (1,)
        condition_names = ("power", "weight")

        def size(self, split="train"):
            return 200

        def batch(self, indices, split="train"):
            return X[indices], None

        def condition_rows(self, indices, split="train"):
            return ROWS[indices]

    names, rows = rows_of(Source(), True)
    assert names == ("power", "weight")
    assert torch.equal(rows, ROWS)
