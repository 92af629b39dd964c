"""What enters is checked: `validate`, levels, indices and splits."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.data import by_name, validate
from sde_diffusion.data.pixels import bin_width, from_levels, to_levels

GOOD = torch.zeros(3, 2)


def test_good_data_pass_unchanged():
    assert validate(GOOD) is GOOD
    assert validate(GOOD, (2,), (-1.0, 1.0)) is GOOD
    assert validate(GOOD.half()).dtype == torch.float16


@pytest.mark.parametrize(
    ("x", "kind", "sentence"),
    [
        (np.zeros((3, 2)), TypeError, "torch.Tensor .* got ndarray; convert"),
        (torch.zeros(3, 2, dtype=torch.uint8), TypeError, "floating point, got torch.uint8; scale"),
        (torch.zeros(0, 2), ValueError, r"at least one event, got shape \(0, 2\)"),
        (torch.zeros(()), ValueError, r"at least one event, got shape \(\)"),
        (torch.zeros(3, 4), ValueError, r"events have shape \(2,\), got \(4,\)"),
        (torch.tensor([[0.0, float("nan")]]), ValueError, "got 1 NaN or infinite numbers of 2"),
        (torch.tensor([[0.0, -float("inf")], [float("inf"), 0]]), ValueError, "got 2 NaN or infinite numbers of 4"),
        (torch.tensor([[0.0, 1.5]]), ValueError, r"lie in \[-1, 1\], got 0 to 1.5; rescale"),
    ],
)
def test_bad_data_are_refused_in_one_sentence(x, kind, sentence):
    with pytest.raises(kind, match=sentence) as caught:
        validate(x, (2,), (-1.0, 1.0))
    assert "\n" not in str(caught.value)


@given(levels=st.integers(2, 65536))
def test_levels_survive_the_way_to_the_interval_and_back(levels):
    values = torch.unique(torch.linspace(0, levels - 1, 300).round().long())
    x = from_levels(values, levels)
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    assert torch.equal(to_levels(x, levels), values)
    assert torch.equal(to_levels(x + 0.4 * bin_width(levels), levels), values)
    gaps = x.double().diff() / values.diff()
    torch.testing.assert_close(gaps, torch.full_like(gaps, bin_width(levels)), rtol=0, atol=2e-7)


def test_levels_out_of_range_are_refused_or_clipped():
    with pytest.raises(ValueError, match=r"levels lie in 0 .. 15, got 0 to 16"):
        from_levels(torch.tensor([0, 16]), 16)
    assert to_levels(torch.tensor([-3.0, 3.0]), 16).tolist() == [0, 15]


SOURCES = [by_name("ring", count=10), by_name("digits"), by_name("patches", count=10)]


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_indices_and_splits_are_checked(source):
    size = source.size("held_out")
    for wrong in ([-1], [size]):
        with pytest.raises(ValueError, match=rf"indices lie in \[0, {size}\)"):
            source.batch(torch.tensor(wrong), "held_out")
    with pytest.raises(ValueError, match="indices are integers of shape"):
        source.batch(torch.tensor([0.5]))
    with pytest.raises(ValueError, match="a split is one of train, held_out, got 'test'"):
        source.batch(torch.tensor([0]), "test")
    with pytest.raises(ValueError, match="a split is one of"):
        source.size("valid")
    assert source.batch(torch.tensor([], dtype=torch.int64))[0].shape == (0, *source.event_shape)
