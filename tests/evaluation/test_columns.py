"""Columns of a table against numbers computed by hand, and against scipy."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import ks_2samp

from sde_diffusion.evaluation.columns import ColumnReport, in_units_of_columns, ks_distance

HELD_OUT = torch.tensor([[1.0, 100.0], [2.0, 300.0], [3.0, 200.0]])


def test_marginals_and_correlations_are_in_the_units_of_the_table():
    x = torch.tensor([[11.0, 100.0], [12.0, 200.0], [13.0, 300.0]])
    found = ColumnReport.of(["a", "b"], x, HELD_OUT, HELD_OUT)
    first, second = found.marginals
    assert (first.name, first.mean, first.held_out_mean, first.std, first.held_out_std) == ("a", 12, 2, 1, 1)
    assert (first.ks, first.real_ks) == (1, 0)
    assert (second.mean, second.std, second.ks) == (200, 100, 0)
    (pair,) = found.correlations
    assert pair.names == ("a", "b")
    assert [pair.samples, pair.held_out, pair.real] == pytest.approx([1, 0.5, 0.5])
    assert [table.title.split()[0] for table in found.tables()] == ["Columns", "Correlations"]


def test_one_column_has_no_pairs():
    found = ColumnReport.of(["a"], HELD_OUT[:, :1], HELD_OUT[:, :1], HELD_OUT[:, :1])
    assert found.correlations == []
    assert len(found.tables()) == 1


def test_the_pair_that_differs_most_is_first():
    draws = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    tied = draws.clone()
    tied[:, 2] = tied[:, 1]
    assert ColumnReport.of("abc", tied, draws, draws).correlations[0].names == ("b", "c")


def test_the_distance_is_that_of_scipy():
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(40, generator=generator).mul(3).round().double()  # with ties
    b = torch.randn(70, generator=generator).mul(4).round().double()
    assert ks_distance(a, b) == pytest.approx(ks_2samp(a.numpy(), b.numpy()).statistic)


def test_scaled_columns_have_deviation_one_and_constant_ones_stay():
    train = torch.cat([HELD_OUT, torch.full((3, 1), 7.0)], 1)
    scaled = in_units_of_columns(train)(train)
    torch.testing.assert_close(scaled.std(0), torch.tensor([1.0, 1.0, 0.0]))
    assert scaled[:, 2].tolist() == [7, 7, 7]
