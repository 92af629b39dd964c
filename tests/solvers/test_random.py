"""Keyed normal numbers: the bijection, the law, independence between keys and elements, and the bits.

Every test is deterministic (keys are fixed integers). Thresholds are given with the probability that a perfect
generator would miss them; "N sigma" over M statistics means a Bonferroni bound of M P(|N(0, 1)| > N).
"""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from solvers.random import counters, digest, finalise, gaussians, mix, normals, words

C = 0xD6E8FEB86659FD93
INT64 = st.integers(-(2**63), 2**63 - 1)


def keys(size: int, seed: int = 0) -> torch.Tensor:
    return mix(digest(seed), torch.arange(size))


def bit_table(x: torch.Tensor) -> torch.Tensor:
    """(N,) -> (N, 64) of 0.0 and 1.0."""
    return ((x[:, None] >> torch.arange(64)) & 1).float()


# the bijection


@given(INT64)
def test_tensor_and_integer_forms_agree(x):
    assert finalise(x) == int(finalise(torch.tensor([x])))
    assert finalise(x) == finalise(x + 2**64)
    assert digest(x) == int(digest(torch.tensor(x)))


@given(INT64, INT64)
def test_mix_is_one_function_of_integers_and_tensors(key, word):
    k, w = torch.tensor([key]), torch.tensor([word])
    assert mix(key, word) == int(mix(k, word)) == int(mix(key, w)) == int(mix(k, w))


@given(INT64)
def test_finalise_has_an_inverse(x):
    inverse = pow(C, -1, 2**64)
    y = finalise(x) % 2**64
    for _ in range(2):
        y = (y ^ (y >> 32)) * inverse % 2**64
    assert (y ^ (y >> 32)) == x % 2**64


def test_finalise_leaves_its_argument_alone():
    x = torch.arange(8).reshape(4, 2).T
    finalise(x), digest(x), mix(x, 3)
    assert torch.equal(x, torch.arange(8).reshape(4, 2).T)
    assert torch.equal(finalise(x), finalise(x.contiguous()))


@pytest.mark.parametrize("through", ["finalise", "key", "word"])
@pytest.mark.parametrize("start", ["scrambled", "counting"])
def test_every_input_bit_flips_every_output_bit_half_the_time(through, start):
    """Avalanche: 64 x 64 frequencies over 2^13 inputs, each within 6 sigma of one half (probability 1e-5 in all).

    Over counting inputs half of the pairs (x, x ^ bit) are met twice, so their deviation is sqrt(2) larger.
    """
    size = 2**13
    x = finalise(torch.arange(size)) if start == "scrambled" else torch.arange(size)
    f = {"finalise": finalise, "key": lambda k: mix(k, 5), "word": lambda w: mix(5, w)}[through]
    y = f(x)
    flips = torch.stack([bit_table(y ^ f(x ^ (1 << b if b < 63 else -(2**63)))).mean(0) for b in range(64)])
    limit = 6 * 0.5 / math.sqrt(size / (2 if start == "counting" else 1))
    assert (flips - 0.5).abs().max() < limit


@pytest.mark.parametrize("form", [lambda a: a, digest, lambda a: mix(1, a)])
def test_keys_have_no_cheap_coincidences(form):
    """mix(key, word) over 1024 keys and words, plain, digested or mixed: all distinct, so not symmetric either."""
    a = torch.arange(1024)
    for table in (mix(form(a)[:, None], a[None, :]), mix(a[:, None], form(a)[None, :])):
        assert table.unique().numel() == 1024**2


@pytest.mark.parametrize("form", [lambda a: a, digest, lambda a: mix(1, a)])
def test_streams_share_no_word(form):
    """1024 keys with 1024 words each: a coincidence has probability 3e-8, a shared run would be thousands."""
    table = words(form(torch.arange(1024))[:, None], counters(2048))
    assert table.shape == (1024, 1024)
    assert table.unique().numel() == 1024**2


# the law


def test_the_uniforms_are_uniform():
    """Chi-square with 2^12 cells over 2^20 words, of the high and low bits of each half; 5 sigma of chi-square each."""
    x = words(torch.arange(1024)[:, None], counters(2048)).flatten()
    for shift in (0, 20, 32, 52):
        counts = torch.bincount((x >> shift) & 4095, minlength=4096).double()
        chi2 = ((counts - 256) ** 2 / 256).sum()
        assert abs(chi2 - 4095) < 5 * math.sqrt(2 * 4095)


@pytest.fixture(scope="module")
def sample() -> torch.Tensor:
    return normals(keys(2**12), (2**8,), torch.float64)


def test_moments(sample):
    """E z^m for m = 1..6 within 5 sigma: the variance of z^m is (2m - 1)!! - E[z^m]^2."""
    odd = [1, 1, 3, 15, 105, 945, 10395]  # (2m - 1)!!
    for m in range(1, 7):
        mean = 0 if m % 2 else odd[m // 2]
        sigma = math.sqrt((odd[m] - mean**2) / sample.numel())
        assert abs(sample.pow(m).mean() - mean) < 5 * sigma


def test_kolmogorov_smirnov(sample):
    """sqrt(N) sup |F_N - Phi| < 2.23: probability 1e-4."""
    u = torch.special.ndtr(sample.flatten()).sort().values
    n = u.numel()
    grid = torch.arange(n, dtype=torch.float64) / n
    distance = torch.maximum((u - grid).max(), (grid + 1 / n - u).max())
    assert distance * math.sqrt(n) < 2.23


def test_tails():
    """How often |z| exceeds 3, 4 and 5 among 2^22 numbers: within 5 Poisson sigma (the last: 2.4 expected)."""
    z = normals(keys(2**12, seed=1), (2**10,)).abs()
    for level in (3.0, 4.0, 5.0):
        expected = z.numel() * math.erfc(level / math.sqrt(2))
        assert abs((z > level).sum() - expected) < 5 * math.sqrt(expected) + 3


def test_quantiles_at_the_ends_and_in_the_middle():
    """Equation (5) for the extreme and the central bits: symmetric, finite, never 0, and the exact quantile."""
    from scipy.special import ndtri

    low, high = -(2**31), 2**31 - 1
    bits = torch.tensor([low, high, -1, 0, low + 1, high - 1, 12345, -(10**9)], dtype=torch.int32)
    z = gaussians(bits.view(torch.int64), 8)
    u = (bits.double() + 2**31 + 0.5) / 2**32
    lower = torch.as_tensor(ndtri(torch.minimum(u, 1 - u).numpy()))  # 1 - u is exact here
    torch.testing.assert_close(z, torch.where(u < 0.5, lower, -lower), rtol=1e-7, atol=0)
    assert torch.equal(z[:4:2], -z[1:4:2])
    assert 6.3 < z[1] < 6.4


def lagged(a: torch.Tensor, b: torch.Tensor) -> float:
    """Correlation of centred, unit-variance numbers, in its own standard deviations."""
    return float((a * b).mean() * math.sqrt(a.numel()))


def test_keys_elements_and_words_are_independent(sample):
    """Products of z and of z^2 - 1 between neighbours: 5 sigma each, 16 statistics (1e-5)."""
    words_ = torch.stack([normals(mix(keys(2**10), k), (2**6,), torch.float64) for k in range(8)])
    raw = normals(torch.arange(2**12), (2**8,), torch.float64)  # keys that nobody scrambled
    pairs = {
        "keys": (sample[1:], sample[:-1]),
        "elements of a word": (sample[:, ::2], sample[:, 1::2]),
        "elements": (sample[:, :-1], sample[:, 1:]),
        "far elements": (sample[:, :128], sample[:, 128:]),
        "words": (words_[:-1], words_[1:]),
        "seeds": (normals(keys(2**12, 1), (2**8,), torch.float64), sample),
        "raw keys": (raw[1:], raw[:-1]),
        "raw key bits": (raw[: 2**11], raw[2**11 :]),
    }
    for name, (a, b) in pairs.items():
        assert abs(lagged(a, b)) < 5, name
        assert abs(lagged(a**2 - 1, b**2 - 1) / 2) < 5, name


def test_no_memory_of_the_table_of_keys_and_counters():
    """(4) xors a row with a column, and the four inputs of a rectangle xor to zero: the four outputs do not know it."""
    square = (normals(keys(2**12), (2**9,), torch.float64)[:, ::2]).reshape(2**6, 2**6, 2**8)
    for f in (lambda z: z, torch.sign, lambda z: (z**2 - 1) / math.sqrt(2)):
        y = f(square)
        rectangle = y[:, 0, :128] * y[:, 1, :128] * y[:, 0, 128:] * y[:, 1, 128:]
        assert abs(rectangle.mean() * math.sqrt(rectangle.numel())) < 5


# the bits


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(
    batch=st.integers(1, 300),
    event=st.sampled_from([(), (1,), (2,), (3,), (5, 7), (2, 1, 3), (64,), (17, 33)]),
    place=st.integers(0, 299),
    width=st.integers(1, 40),
)
def test_a_sample_does_not_know_its_batch(dtype, batch, event, place, width):
    place %= batch
    k = keys(batch)
    whole = normals(k, event, dtype)
    assert whole.shape == (batch, *event)
    part = normals(k[place : place + width].clone(), event, dtype)
    assert torch.equal(whole[place : place + width], part)


@given(st.integers(1, 40), st.integers(0, 40))
def test_an_element_does_not_know_how_many_follow(size, more):
    k = keys(5)
    assert torch.equal(normals(k, (size + more,))[:, :size], normals(k, (size,)))


def test_large_batches_and_slices_of_keys_keep_the_bits():
    k = keys(40_001)
    whole = normals(k, (3,))
    assert torch.equal(whole[::2], normals(k[::2], (3,)))
    assert torch.equal(whole[-1:], normals(k[-1:], (3,)))


def test_two_threads_give_the_bits_of_one():
    k = keys(2**15)
    one = normals(k, (3,))
    torch.set_num_threads(2)
    try:
        assert torch.equal(one, normals(k, (3,)))
    finally:
        torch.set_num_threads(1)


def test_dtypes_are_roundings_of_one_number():
    k = keys(1000)
    exact = normals(k, (7,), torch.float64)
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        assert torch.equal(normals(k, (7,), dtype), exact.to(dtype))
    assert (exact - normals(k, (7,)).double()).abs().max() < 1e-6


def test_empty_batches_and_events():
    assert normals(keys(0), (3,)).shape == (0, 3)
    assert normals(keys(4), (0,)).shape == (4, 0)


# the door


def test_bad_input_is_refused():
    with pytest.raises(TypeError, match="int64"):
        normals(torch.zeros(3), (2,))
    with pytest.raises(TypeError, match="int64"):
        normals(5, (2,))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="shape"):
        normals(torch.arange(4).reshape(2, 2), (2,))
    with pytest.raises(TypeError, match="floating-point"):
        normals(torch.arange(4), (2,), torch.int32)
