"""The held-out part: about its share, the same side for the same item whatever is beside it, never empty and never all."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.data.split import held_out

ITEMS = [f"{i}.png".encode() for i in range(4000)]


@pytest.mark.parametrize("share", [0.05, 0.5, 0.9])
def test_the_share_is_held_out(share):
    """Binomial: within 4 standard deviations of its mean."""
    count = int(held_out(ITEMS, share).sum())
    assert abs(count - share * 4000) < 4 * math.sqrt(4000 * share * (1 - share))


@pytest.mark.filterwarnings("ignore:.*items are held out")
@given(st.permutations(range(30)), st.integers(0, 10))
def test_an_items_side_is_its_own(order, left_out):
    """Reordered, and with some left out: nobody changes sides."""
    sides = held_out(ITEMS[:30], 0.3)
    kept = order[left_out:]
    assert torch.equal(held_out([ITEMS[i] for i in kept], 0.3), sides[kept])


def test_seeds_are_unrelated():
    """Two splits of one half each agree on a half: within 4 standard deviations."""
    agree = int((held_out(ITEMS, 0.5, 0) == held_out(ITEMS, 0.5, 1)).sum())
    assert abs(agree - 2000) < 4 * math.sqrt(1000)


@pytest.mark.filterwarnings("ignore:.*items are held out")
@given(st.integers(2, 5), st.sampled_from([1e-9, 0.3, 1 - 1e-9]), st.integers(0, 50))
def test_both_sides_have_an_item(n, share, seed):
    sides = held_out(ITEMS[:n], share, seed)
    assert bool(sides.any())
    assert not bool(sides.all())


def test_equal_items_are_on_one_side():
    sides = held_out(ITEMS[:50] * 2, 0.4)
    assert torch.equal(sides[:50], sides[50:])


def test_many_more_than_asked_for_are_said():
    """A seed by which more than twice the share of 4 items, and one more, are held out; a usual one says nothing."""
    items = [f"a/{i}.png".encode() for i in range(4)]
    with pytest.warns(UserWarning, match="3 of 4 items are held out, and a share of 0.1 was asked for"):
        assert int(held_out(items, 0.1, 0).sum()) == 3
    assert int(held_out(items, 0.1, 1).sum()) == 1


def test_what_cannot_be_split_is_refused():
    with pytest.raises(ValueError, match="1 of them different, cannot be split"):
        held_out([b"a", b"a"], 0.1)
    with pytest.raises(ValueError, match=r"share in \(0, 1\), got 1"):
        held_out(ITEMS, 1.0)
