"""The order of the data: every sample once an epoch, the same whatever the step it is asked at or the world's size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from sde_diffusion.data.order import indices, permutation, random_words


@given(n=st.integers(1, 23), batch=st.integers(1, 40), seed=st.integers(0, 2**64 - 1))
def test_each_epoch_holds_every_sample_once_across_borders(n, batch, seed):
    row = torch.cat([indices(seed, step, batch, n) for step in range(3 * n)])
    epochs = row[: len(row) // n * n].reshape(-1, n)
    assert torch.equal(epochs.sort(dim=1).values, torch.arange(n).expand_as(epochs))
    assert torch.equal(epochs[1], permutation(seed, 1, n))


@given(share=st.integers(1, 7), world=st.integers(1, 6), n=st.integers(1, 50), step=st.integers(0, 10**6))
def test_the_ranks_pieces_are_the_global_batch(share, world, n, step):
    whole = indices(3, step, share * world, n)
    pieces = [indices(3, step, share * world, n, rank, world) for rank in range(world)]
    assert torch.equal(torch.cat(pieces), whole)


def test_the_order_needs_no_history_and_no_global_generator():
    torch.manual_seed(0)
    there = [indices(5, step, 8, 100) for step in range(40)]
    torch.manual_seed(1)
    back = [indices(5, step, 8, 100) for step in reversed(range(40))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(there, back, strict=True))


def test_an_answer_may_be_overwritten_without_harm():
    indices(0, 0, 10, 10).zero_()
    permutation(0, 0, 10).zero_()
    assert sorted(indices(0, 0, 10, 10).tolist()) == list(range(10))


def test_all_permutations_are_equally_likely_over_epochs_and_over_seeds():
    """24 permutations of 4 samples, 2400 draws: chi-square with 23 degrees of freedom, significance 0.001."""
    for draws in ([(7, epoch) for epoch in range(2400)], [(seed, 7) for seed in range(2400)]):
        codes = [int(permutation(*draw, 4) @ torch.tensor([1, 4, 16, 64])) for draw in draws]
        counts = np.unique(codes, return_counts=True)[1]
        assert len(counts) == 24
        assert ((counts - 100) ** 2 / 100).sum() < chi2.ppf(0.999, 23)


def test_neighbouring_epochs_and_seeds_are_unrelated():
    """The mean product of two independent standardised permutations of n has variance 1/(n - 1): 4 deviations."""
    n = 2000
    keys = [(seed, epoch) for seed in (0, 1) for epoch in (0, 1)]
    scores = [(permutation(*key, n) - (n - 1) / 2) / np.sqrt((n * n - 1) / 12) for key in keys]
    for i, one in enumerate(scores):
        for other in scores[:i]:
            assert abs(float((one * other).mean())) < 4 / np.sqrt(n - 1)


def test_a_longer_stream_begins_with_the_shorter():
    assert torch.equal(random_words(1, 2, 10), random_words(1, 2, 1000)[:10])
    assert len(random_words(1, 2, 1000).unique()) == 1000


def test_what_cannot_be_shared_or_counted_is_refused():
    with pytest.raises(ValueError, match="cannot be shared evenly by 3"):
        indices(0, 0, 8, 10, 0, 3)
    with pytest.raises(ValueError, match="ranks run from 0 to world - 1 = 1, got rank 2"):
        indices(0, 0, 8, 10, 2, 2)
    with pytest.raises(ValueError, match=r"n = 0, batch_size = 8"):
        indices(0, 0, 8, 0)
    with pytest.raises(ValueError, match="a seed lies in"):
        indices(-1, 0, 8, 10)
