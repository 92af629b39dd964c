"""Paths of the Wiener process: what each keeps, what each forgets, and the exact law of all.

Every test is deterministic. Statistical thresholds are in standard deviations of a perfect path, with the probability
that one would miss them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from solvers.area_tree import AreaTree
from solvers.random import mix, normals
from solvers.wiener import AreaPath, FreshIncrements, KeyedIncrements, PathSpec
from solvers.wiener_tree import WienerTree
from tests.solvers.paths import GRID, KEYED, PATHS, SEEDED, deviates, spec, state, times, values

# all paths: the law on a grid, the shape, channels


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("backwards", [False, True])
def test_law_on_a_grid(kind, backwards):
    """Whitened increments are N(0, 1) by Kolmogorov-Smirnov (2.23: 1e-4), and uncorrelated between steps, samples
    and elements, as their squares are (5 sigma each, 28 + 2 pairs: 4e-5)."""
    grid = GRID[::-1] if backwards else GRID
    path = kind.like(state(4000, (2,)), 3, grid[0], grid[-1])
    z = torch.stack([path.increment(t, s) / math.sqrt(abs(s - t)) for t, s in pairwise(grid)])
    assert deviates(z) < 2.23
    flat = z.flatten(1)
    for y in (flat, (flat**2 - 1) / math.sqrt(2)):
        correlations = y @ y.T / math.sqrt(y.shape[1])
        assert correlations.fill_diagonal_(0).abs().max() < 5
    for a, b in ((z[:, 1:], z[:, :-1]), (z[..., 0], z[..., 1])):
        assert abs((a * b).mean()) * math.sqrt(a.numel()) < 5


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("event", [(), (1,), (2, 3), (1, 2, 3, 2)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_shape_and_dtype_follow_the_state(kind, event, dtype):
    dw = kind.like(state(5, event, dtype), 0, 1.0, 0.0).increment(1.0, 0.25)
    assert dw.shape == (5, *event)
    assert dw.dtype == dtype
    assert dw.flatten().unique().numel() == dw.numel()


@pytest.mark.parametrize("kind", PATHS)
def test_channels_are_remembered_and_independent(kind):
    """Correlations of six channels, one a channel's channel, with each other: 5 sigma, 15 pairs (1e-5)."""
    path = kind.like(state(4000, (5,)), 0, 0.0, 1.0)
    assert path.channel(2) is path.channel(2)
    family = [path, *(path.channel(k) for k in range(4)), path.channel(0).channel(0)]
    z = torch.stack([p.increment(0.25, 0.75).flatten() for p in family]) * math.sqrt(2)
    correlations = z @ z.T / math.sqrt(z.shape[1])
    assert correlations.fill_diagonal_(0).abs().max() < 5
    assert all(type(p) is kind for p in family)


@pytest.mark.parametrize("kind", PATHS)
def test_the_seed_decides(kind):
    x = state()
    once, again, other = (kind.like(x, seed, 0.0, 1.0).increment(0.1, 0.3) for seed in (7, 7, 8))
    assert torch.equal(once, again)
    assert not torch.isclose(once, other).any()


@pytest.mark.parametrize("kind", SEEDED)
def test_a_channel_asked_at_every_step_is_a_path(kind):
    """A corrector asks path.channel(k) anew at each step: its increments must not repeat."""
    path = kind.like(state(), 0, 0.0, 1.0)
    first, second = path.channel(1).increment(0.0, 0.5), path.channel(1).increment(0.5, 1.0)
    assert not torch.isclose(first, second).any()


@pytest.mark.parametrize("kind", SEEDED)
def test_times_of_shape_batch_have_each_their_variance(kind):
    """Sample i steps from t_i to s_i, of both signs: whitened, N(0, 1) (2.23: 1e-4)."""
    t = torch.linspace(0, 1, 4000, dtype=torch.float64)
    s = t.flip(0) ** 2
    dw = kind.like(state(4000), 5, 0.0, 1.0).increment(t, s)
    assert deviates(dw / (s - t).abs().sqrt()[:, None]) < 2.23


# the space-time Levy area


@pytest.mark.parametrize("kind", [FreshIncrements, KeyedIncrements, AreaTree])
def test_increment_and_area_have_the_joint_law(kind):
    """H ~ N(0, h/12), independent of the increment and of the other intervals' (2.23: 1e-4; 5 sigma, 3 pairs)."""
    path = kind.like(state(20_000, (2,)), 1, 0.0, 1.0)
    assert isinstance(path, AreaPath)
    h = 0.3
    dw, area = path.increment_and_area(0.2, 0.5)
    _, later = path.increment_and_area(0.5, 0.8)
    dw, area, later = dw / math.sqrt(h), area / math.sqrt(h / 12), later / math.sqrt(h / 12)
    assert deviates(area) < 2.23
    assert deviates(dw) < 2.23
    for a, b in ((dw, area), (area, later), (dw**2 - 1, area**2 - 1)):
        assert abs((a * b).mean() / (a * b).std()) * math.sqrt(a.numel()) < 5


def test_the_area_has_no_direction_and_the_increment_has():
    path = KeyedIncrements.like(state(), 0, 0.0, 1.0)
    dw, area = path.increment_and_area(0.2, 0.5)
    back, same = path.increment_and_area(0.5, 0.2)
    assert torch.equal(back, -dw)
    assert torch.equal(same, area)
    t = torch.full((4,), 0.2, dtype=torch.float64)
    assert torch.equal(path.increment_and_area(t, 0.5)[1], area)


def test_the_area_is_what_the_tree_integrates_to():
    """Equation (1) of solvers.wiener, by the trapezoidal rule on a tree: variance h/12, no correlation with dW.

    2000 numbers, 256 intervals: 5 sigma of the variance, and the rule's own bias 1/256^2.
    """
    path = WienerTree.like(state(1000, (2,)), 2, 0.0, 1.0)
    grid = [0.25 + k / 512 for k in range(257)]
    w = torch.cat([torch.zeros(1, 1000, 2, dtype=torch.float64), values(path, grid)])
    chord = torch.linspace(0, 1, 257, dtype=torch.float64)[:, None, None] * w[-1]
    area = torch.trapezoid(w - chord, dx=1 / 256, dim=0) * math.sqrt(12 / 0.5)
    assert abs(area.var() - 1) < 5 * math.sqrt(2 / 2000) + 1e-3
    assert abs((area * w[-1] / math.sqrt(0.5)).mean()) < 5 / math.sqrt(2000)


def test_seeds_and_samples_have_keys_of_their_own():
    """256 seeds, 256 samples, and 16 channels of 16 seeds: no key twice."""
    keys = [spec(256, seed=seed).keys() for seed in range(256)]
    keys += [spec(256, seed=seed).channel(k).keys() for seed in range(16) for k in range(16)]
    assert torch.cat(keys).unique().numel() == 2 * 256**2


@pytest.mark.parametrize("kind", SEEDED)
def test_paths_share_nothing_with_normals_of_the_same_seed_and_keys(kind):
    """A prior drawn under the samples' keys, or under a generator of the same seed: 5 sigma, 4 products."""
    made = spec(10_000, (2,), seed=11)
    dw = kind(made).increment(0.0, 1.0)
    generated = torch.randn(dw.shape, generator=torch.Generator().manual_seed(11), dtype=dw.dtype)
    for prior in (normals(made.keys(), (2,), dw.dtype), normals(mix(11, made.indices), (2,), dw.dtype), generated):
        assert abs((dw * prior).mean()) * math.sqrt(dw.numel()) < 5


# FreshIncrements forget


def test_fresh_increments_forget():
    path = FreshIncrements.like(state(), 0, 0.0, 1.0)
    assert not torch.isclose(path.increment(0.0, 0.5), path.increment(0.0, 0.5)).any()


def test_fresh_increments_draw_from_the_users_generator():
    x = state()
    path = FreshIncrements.from_generator(x, torch.Generator().manual_seed(3))
    same = torch.Generator().manual_seed(3)
    for t, s in ((0.0, 0.25), (3.0, 2.75)):  # any time is answered
        expected = torch.randn(x.shape, generator=same, dtype=x.dtype) / 2
        assert torch.equal(path.increment(t, s), expected)
    expected = torch.randn(x.shape, generator=same, dtype=x.dtype)
    assert torch.equal(path.channel(4).increment(0.0, 1.0), expected)


# paths with keys: the batch, the place in it, the form of the times


@pytest.mark.parametrize("kind", KEYED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@settings(max_examples=10)
@given(sample=st.integers(0, 999), event=st.sampled_from([(), (3,), (2, 5)]), t=times(), s=times())
def test_a_sample_does_not_know_its_batch(kind, dtype, sample, event, t, s):
    """Sample i alone, as the last of 7 in disorder and among 1000: the same bits."""
    disorder = [5, 2, 998, 0, 77, 3, sample]
    alone, few, many = (
        kind(spec(event=event, dtype=dtype, indices=numbers)).increment(t, s)
        for numbers in ([sample], disorder, range(1000))
    )
    assert torch.equal(alone[0], few[6])
    assert torch.equal(alone[0], many[sample])


@pytest.mark.parametrize("kind", KEYED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(t=st.lists(times(-1.0, 2.0), min_size=3, max_size=3), s=st.lists(times(-1.0, 2.0), min_size=3, max_size=3))
def test_times_of_shape_batch_give_the_bits_of_floats(kind, dtype, t, s):
    path = kind(spec(3, (5,), dtype, span=(2.0, -1.0)))
    each = path.increment(torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
    mixed = path.increment(t[0], torch.tensor(s, dtype=torch.float64))
    scalar = path.increment(torch.tensor(t[0], dtype=torch.float64), s[0])
    for i in range(3):
        assert torch.equal(each[i], path.increment(t[i], s[i])[i])
        assert torch.equal(mixed[i], path.increment(t[0], s[i])[i])
    assert torch.equal(scalar, path.increment(t[0], s[0]))


@pytest.mark.parametrize("kind", KEYED)
@given(times(), times())
def test_backwards_is_minus_forwards(kind, t, s):
    path = kind(spec())
    assert torch.equal(path.increment(t, s), -path.increment(s, t))
    assert (path.increment(t, t) == 0).all()


@pytest.mark.parametrize("kind", KEYED)
def test_the_ends_of_the_span_have_no_order(kind):
    up, down = kind(spec(span=(0.1, 2.0))), kind(spec(span=(2.0, 0.1)))
    assert torch.equal(up.increment(0.3, 1.1), down.increment(0.3, 1.1))


def test_keyed_increments_do_not_add_up():
    """What the docstring warns of: the increment over both halves is independent of their sum (5 sigma)."""
    path = KeyedIncrements(spec(4000))
    halves = path.increment(0.0, 0.5) + path.increment(0.5, 1.0)
    assert abs((halves * path.increment(0.0, 1.0)).mean()) < 5 / math.sqrt(12_000)
    assert torch.equal(path.increment(-0.0, 1.0), path.increment(0.0, 1.0))


# the door


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="two different finite times"):
        spec(span=(1.0, 1.0))
    with pytest.raises(ValueError, match="two different finite times"):
        spec(span=(0.0, math.inf))
    with pytest.raises(TypeError, match="floating-point"):
        spec(dtype=torch.int64)
    with pytest.raises(TypeError, match="seed"):
        spec(seed=1.5)
    with pytest.raises(TypeError, match="int64"):
        spec(indices=[0.5])
    with pytest.raises(ValueError, match="2\\^30"):
        WienerTree(spec(), 0)


@pytest.mark.parametrize("outside", [-1e-9, 1 + 1e-9, math.nan, math.inf])
def test_tree_refuses_times_outside_its_span(outside):
    path = WienerTree(spec())
    with pytest.raises(ValueError, match="spans"):
        path.increment(0.0, outside)
    with pytest.raises(ValueError, match="spans"):
        path.increment(torch.tensor([0.1, 0.2, outside, 0.3], dtype=torch.float64), 1.0)
    assert torch.isfinite(path.increment(0.0, 1 + 1e-15)).all()  # the rounding of a grid's end is none


@pytest.mark.parametrize("kind", SEEDED)
def test_times_of_another_batch_are_refused(kind):
    with pytest.raises(ValueError, match="B = 4"):
        kind(spec()).increment(torch.zeros(3), torch.ones(3))


def test_specs_follow_the_state_and_derive_their_channels():
    x = torch.zeros(3, 2, 2, dtype=torch.float32)
    made = PathSpec.like(x, 5, 1, 0)
    assert (made.shape, made.size, made.dtype, made.device) == ((3, 2, 2), 4, torch.float32, x.device)
    assert made.channel(1).seed == mix(5, 1)
    numbered = PathSpec.like(x, 5, 1, 0, indices=torch.tensor([7, 8, 9]))
    assert torch.equal(numbered.keys()[0], PathSpec.like(torch.zeros(9, 1), 5, 1, 0).keys()[7])
