"""Paths of the Wiener process: what each keeps, what each forgets, and the exact law of all.

Every test is deterministic. Statistical thresholds are in standard deviations of a perfect path, with the probability
that one would miss them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from solvers.random import mix, normals
from solvers.torchsde_path import AsTorchsde, TorchsdePath
from solvers.wiener import AreaPath, FreshIncrements, KeyedIncrements, PathSpec, WienerPath
from solvers.wiener_tree import WienerTree, _locate, _locate_each

SEEDED = [FreshIncrements, KeyedIncrements, WienerTree]
KEYED = [KeyedIncrements, WienerTree]
PATHS = [*SEEDED, TorchsdePath]
GRID = [0.0, 0.013, 0.2, 0.21, 0.5, 0.777, 0.9999, 1.0]


def spec(batch=4, event=(3,), dtype=torch.float64, seed=0, span=(0.0, 1.0), indices=None) -> PathSpec:
    numbers = torch.arange(batch) if indices is None else torch.as_tensor(indices)
    return PathSpec(seed, numbers, event, *span, dtype)


def state(batch=4, event=(3,), dtype=torch.float64) -> Tensor:
    return torch.zeros(batch, *event, dtype=dtype)


def times(low=0.0, high=1.0):
    """Times of a span: any, its ends, and dyadic ones, where the tree has its nodes."""
    dyadic = st.builds(
        lambda k, l: low + (high - low) * (k % (2**l + 1)) / 2**l, st.integers(0, 2**20), st.integers(0, 20)
    )
    return st.one_of(st.floats(low, high), dyadic, st.just(low), st.just(high))


def values(path: WienerPath, grid: list[float]) -> Tensor:
    """W at the grid, W = 0 at its start: (N, B, *E)."""
    return torch.stack([path.increment(t, s) for t, s in pairwise(grid)]).cumsum(0)


def deviates(sample: Tensor) -> float:
    """sqrt(N) times the Kolmogorov-Smirnov distance from N(0, 1)."""
    u = torch.special.ndtr(sample.flatten().double()).sort().values
    grid = torch.arange(u.numel(), dtype=torch.float64) / u.numel()
    return float(torch.maximum((u - grid).max(), (grid + 1 / u.numel() - u).max()) * math.sqrt(u.numel()))


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


@pytest.mark.parametrize("kind", [FreshIncrements, KeyedIncrements])
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


# WienerTree: one path, whatever is asked


@given(st.lists(times(), min_size=3, max_size=6))
def test_tree_is_additive(grid):
    path = WienerTree(spec())
    total = torch.stack([path.increment(t, s) for t, s in pairwise(grid)]).sum(0)
    torch.testing.assert_close(total, path.increment(grid[0], grid[-1]), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@given(st.lists(times(), min_size=2, max_size=12), st.randoms(use_true_random=False))
def test_tree_does_not_know_what_was_asked_before(dtype, asked, random):
    """Bit for bit: the answer after any history is the answer of a path that was never asked anything."""
    path = WienerTree(spec(2, (3,), dtype))
    questions = [(random.choice(asked), random.choice(asked)) for _ in asked]
    for t, s in questions:
        if random.random() < 0.3:
            path.increment(torch.tensor([t, s], dtype=torch.float64), random.choice(asked))
        assert torch.equal(path.increment(t, s), WienerTree(spec(2, (3,), dtype)).increment(t, s))


def test_tree_answers_do_not_depend_on_how_many_variables_are_drawn_at_once(monkeypatch):
    together = WienerTree(spec()).increment(0.1, 0.7)
    monkeypatch.setattr("solvers.wiener_tree._AT_ONCE", 1)
    assert torch.equal(together, WienerTree(spec()).increment(0.1, 0.7))


def test_tree_is_one_path_at_ten_and_at_a_thousand_steps():
    path = WienerTree(spec(span=(1.0, 1e-3)))
    fine = values(path, torch.linspace(1, 1e-3, 1001, dtype=torch.float64).tolist())
    coarse = values(path, torch.linspace(1, 1e-3, 11, dtype=torch.float64).tolist())
    torch.testing.assert_close(fine[99::100], coarse, rtol=0, atol=1e-12)


def test_tree_covariance():
    """Cov(W_s, W_t) = min(s, t) at 12 times in disorder: 78 entries within 5 sigma of Wishart (5e-5)."""
    grid = [0.7, 0.31, 1e-6, 0.5, 0.999, 0.1, 1.0, 2e-6, 0.70001, 1 / 3, 0.25, 0.9]
    path = WienerTree(spec(20_000, ()))
    w = torch.stack([path.increment(0.0, t) for t in grid])
    t = torch.tensor(grid, dtype=torch.float64)
    expected = torch.minimum(t[:, None], t[None, :])
    sigma = ((expected**2 + t[:, None] * t[None, :]) / 20_000).sqrt()
    assert ((w @ w.T / 20_000 - expected).abs() / sigma).max() < 5


@pytest.mark.parametrize("shape", ["uniform", "geometric", "power", "random"])
def test_tree_has_the_exact_law_on_fine_grids(shape):
    """Whitened increments over 600 steps down to 1e-9 are independent and N(0, 1): Kolmogorov-Smirnov (2.23: 1e-4),
    neighbours' products and squares (5 sigma), the same for every sum of squares over a tenth of the grid (5 sigma)."""
    u = torch.linspace(0, 1, 601, dtype=torch.float64)
    grid = {
        "uniform": u,
        "geometric": torch.cat([torch.zeros(1, dtype=torch.float64), 10 ** (-9 * (1 - u[1:]))]),
        "power": u**5,
        "random": torch.rand(601, generator=torch.Generator().manual_seed(0), dtype=torch.float64).sort().values,
    }[shape].tolist()
    path = WienerTree(spec(100, (3,), span=(0.0, 1.0)))
    z = torch.stack([path.increment(t, s) / math.sqrt(s - t) for t, s in pairwise(grid)])
    assert deviates(z) < 2.23
    for a, b in ((z[1:], z[:-1]), ((z[1:] ** 2 - 1) / 2, z[:-1] ** 2 - 1)):
        assert abs((a * b).mean()) * math.sqrt(a.numel()) < 5
    energy = (z.flatten(1)[: len(z) // 60 * 60].reshape(10, -1) ** 2 - 1) / math.sqrt(2)
    assert (energy.mean(1).abs() * math.sqrt(energy.shape[1])).max() < 5


@given(st.lists(st.floats(1e-3, 1), min_size=1, max_size=200), st.integers(0, 3), st.booleans())
def test_grids_whose_steps_grow_have_their_leaves_apart(steps, power, mirrored):
    """The statement of the docstring: steps that grow from one end, at most 2^R of them, meet no leaf twice."""
    h = torch.tensor(steps, dtype=torch.float64).pow(2**power).sort().values
    t = h.cumsum(0) / h.sum()
    assume(float(t[0]) > 2.0**-41)
    u = (1 - t if mirrored else t)[:-1].tolist()
    resolution = max(0, (len(steps) - 1).bit_length())
    leaves = [_locate(v, resolution)[0] for v in u]
    assert len(set(leaves)) == len(leaves)


def test_too_coarse_a_tree_shows():
    """What the docstring calls approximate: 64 times inside one leaf lose variance, and a finer tree has it."""
    grid = [0.5 + k * 1e-4 for k in range(65)]
    for max_steps, exact in ((2, False), (2**14, True)):
        path = WienerTree(spec(500, (2,)), max_steps)
        squares = sum(float(path.increment(t, s).square().mean()) for t, s in pairwise(grid)) / (grid[-1] - grid[0])
        assert (abs(squares - 1) < 5 * math.sqrt(2 / 64_000)) == exact


def test_quadratic_variation():
    """sum dW^2 over 2^11 steps is T within 5 sigma = 5 T sqrt(2 / 2^11) for each of 64 numbers (4e-5)."""
    path = WienerTree(spec(32, (2,), span=(0.0, 3.0)))
    grid = torch.linspace(0, 3, 2**11 + 1, dtype=torch.float64).tolist()
    total = sum(path.increment(t, s).square() for t, s in pairwise(grid))
    assert ((total - 3).abs() < 15 * math.sqrt(2 / 2**11)).all()


def test_tree_is_continuous():
    """|W(t + d) - W(t)| < 40 sqrt(d) next to nodes, ends of leaves and other times, for d down to 1e-14."""
    path = WienerTree(spec(50))
    for t in (0.5, 0.25, 0.75 - 2.0**-20, 1 / 3, 1e-3, 2.0**-12, 1 - 2.0**-12):
        for d in (1e-6, 1e-10, 1e-14):
            for s in (t - d, t + d):
                assert path.increment(t, s).abs().max() < 40 * math.sqrt(d)


def test_tree_in_float32_rounds_the_tree_in_float64():
    grid = torch.linspace(0, 1, 101, dtype=torch.float64).tolist()
    exact, single, half = (
        values(WienerTree(spec(50, (4,), d)), grid) for d in (torch.float64, torch.float32, torch.bfloat16)
    )
    assert (single.double() - exact).abs().max() < 1e-5
    assert half.dtype == torch.bfloat16
    one, two = (WienerTree(spec(50, (4,), d)).increment(0.2, 0.7) for d in (torch.float32, torch.bfloat16))
    assert torch.equal(one.to(torch.bfloat16), two)


def test_max_steps_touches_the_inside_of_leaves_only():
    """Nodes of the coarser tree are the same; between them the paths part, by a few deviations of its bridge."""
    coarse, fine = WienerTree(spec(), 2**6), WienerTree(spec(), 2**20)
    assert torch.equal(coarse.increment(0.25, 0.75), fine.increment(0.25, 0.75))
    apart = coarse.increment(0.25, 0.5 + 1 / 3000) - fine.increment(0.25, 0.5 + 1 / 3000)
    assert 0 < apart.abs().max() < 10 * math.sqrt(2.0**-8)
    channel = fine.channel(1)
    assert channel.max_steps == 2**20


@given(st.lists(times(), min_size=1, max_size=5), st.integers(0, 30))
def test_leaves_are_located_alike_for_floats_and_tensors(u, resolution):
    each, w = _locate_each(torch.tensor(u, dtype=torch.float64), resolution)
    for i, v in enumerate(u):
        leaf, inside = _locate(v, resolution)
        assert leaf == (int(each.number[i]), int(each.level[i]))
        assert inside == float(w[i])
        assert (leaf.number - 2**leaf.level + inside) / 2**leaf.level == v
        k, last = leaf.number - 2**leaf.level, 2**leaf.level - 1
        assert leaf.level == 42 or min(k, last - k) >= 2**resolution
        assert leaf.level == 0 or min(k >> 1, last - k >> 1) < 2**resolution


# WienerTree: its cost


def test_a_walk_draws_few_variables(monkeypatch):
    """R - log2 N + 5 rows for each step, and none for a second look."""
    path, rows = WienerTree(spec(2, (1,), span=(1.0, 0.0))), 0
    draw = path._variables._draw

    def counted(leaf, block):
        nonlocal rows
        rows += block.stop - block.start
        return draw(leaf, block)

    monkeypatch.setattr(path._variables, "_draw", counted)
    grid = torch.linspace(1, 0, 1001, dtype=torch.float64).tolist()
    for t, s in pairwise(grid):
        path.increment(t, s)
    assert rows / 1000 < 12 - math.log2(1000) + 5.1
    before = rows
    path.increment(grid[-2], grid[-1])
    path.increment(grid[-1], grid[-2])
    assert rows == before
    path.increment(0.3, 0.3 + 1e-5)
    before = rows
    path.increment(0.3 + 2e-5, 0.3 + 3e-5)  # the same leaf
    assert rows == before


def test_a_tree_remembers_no_more_than_one_way_down():
    path = WienerTree(spec(2, (1,)))
    for t, s in pairwise([k * 0.618 % 1 for k in range(200)] + [2.0**-k for k in range(60)]):
        path.increment(t, s)
        assert len(path._stack._rows) <= 44
        assert sum(row.untyped_storage().nbytes() for row in path._stack._rows) <= 44 * 2 * 8
        assert len(path._recent) <= 2


def test_answers_are_the_callers_to_change():
    path = WienerTree(spec())
    first = path.increment(0.0, 1.0)
    kept = first.clone()
    first.zero_()
    assert torch.equal(path.increment(0.0, 1.0), kept)
    t = torch.full((4,), 0.5, dtype=torch.float64)
    half = path.increment(0.0, t)
    t.fill_(0.75)
    assert not torch.equal(path.increment(0.0, t), half)


@pytest.mark.parametrize("kind", SEEDED)
def test_paths_cross_inference_mode(kind):
    """A path made or asked under inference_mode serves a differentiable solve later, and the other way round."""
    with torch.inference_mode():
        path = kind.like(state(), 0, 0.0, 1.0)
        path.increment(0.0, 0.3)
    x = torch.ones(4, 3, dtype=torch.float64, requires_grad=True)
    dw = path.increment(0.0, 0.3)
    (x * dw).sum().backward()
    assert torch.equal(x.grad, dw)
    with torch.inference_mode():
        path.increment(0.3, 0.6)
    (x * path.increment(0.31, 0.6)).sum().backward()


# torchsde, both ways


def test_torchsde_paths_are_additive_in_either_direction():
    path = TorchsdePath.like(state(5, (2, 2)), 0, 2.0, 0.5)
    total = path.increment(2.0, 1.1) + path.increment(1.1, 0.7)
    torch.testing.assert_close(total, path.increment(2.0, 0.7), rtol=0, atol=1e-12)
    assert torch.equal(path.increment(0.7, 1.1), -path.increment(1.1, 0.7))


def test_torchsde_path_wraps_the_users_motion():
    import torchsde

    bm = torchsde.BrownianInterval(t0=0.0, t1=1.0, size=(4, 6), dtype=torch.float64, entropy=5)
    path = TorchsdePath(bm, (2, 3))
    assert torch.equal(path.increment(0.5, 0.25), -bm(0.25, 0.5).reshape(4, 2, 3))
    with pytest.raises(TypeError, match="spawn"):
        path.channel(0)
    with pytest.raises(ValueError, match="one time"):
        path.increment(torch.zeros(4), 1.0)


class Oscillator(torch.nn.Module):
    """dx = -sin(3 x) dt + (1 + cos(x)/2) dW, for torchsde and for a loop."""

    noise_type, sde_type = "diagonal", "ito"

    def f(self, t, x):
        return -torch.sin(3 * x) * (1 + t)

    def g(self, t, x):
        return 1 + torch.cos(x) / 2


@pytest.mark.parametrize("kind", SEEDED)
def test_torchsde_on_our_path_is_euler_maruyama_on_our_path(kind):
    """torchsde's own Euler-Maruyama against a loop, 64 steps: 1e-12."""
    import torchsde

    x = torch.linspace(-1, 1, 24, dtype=torch.float64).reshape(4, 2, 3)
    sde, grid = Oscillator(), [k / 64 for k in range(65)]
    bm = AsTorchsde(kind.like(x, 9, 0.0, 1.0), x)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    theirs = torchsde.sdeint(sde, x.reshape(4, 6), ts, bm=bm, method="euler", dt=1 / 64)[-1].reshape(4, 2, 3)
    path = kind.like(x, 9, 0.0, 1.0)
    for t, s in pairwise(grid):
        x = x + sde.f(t, x) * (s - t) + sde.g(t, x) * path.increment(t, s)
    torch.testing.assert_close(theirs, x, rtol=0, atol=1e-12)


def test_torchsde_walks_our_path_downwards_by_a_clock():
    """tau = -t: torchsde ascends in tau while the path is asked at descending t."""
    x = state(3, (2,))
    path = WienerTree.like(x, 4, 1.0, 0.0)
    bm = AsTorchsde(path, x, clock=lambda tau: -tau)
    assert torch.equal(bm(torch.tensor(-0.75), torch.tensor(-0.25)), path.increment(0.75, 0.25))
    assert bm.size() == bm.shape == (3, 2)


def test_torchsde_srk_takes_the_area_of_our_paths():
    """Order-1.5 SRK on KeyedIncrements: W and U are those of equation (2), and dx = dW is integrated exactly."""
    import torchsde

    class Drifting(torch.nn.Module):
        noise_type, sde_type = "additive", "ito"

        def f(self, t, x):
            return torch.zeros_like(x)

        def g(self, t, x):
            return torch.eye(2, dtype=x.dtype).expand(len(x), 2, 2)

    x = state(5, (2,))
    path = KeyedIncrements.like(x, 2, 0.0, 1.0)
    bm = AsTorchsde(path, x)
    ts = torch.tensor([0.0, 1.0], dtype=torch.float64)
    end = torchsde.sdeint(Drifting(), x, ts, bm=bm, method="srk", dt=0.25)[-1]
    total = values(path, [0.0, 0.25, 0.5, 0.75, 1.0])[-1]
    torch.testing.assert_close(end, total, rtol=0, atol=1e-12)
    dw, area = path.increment_and_area(0.25, 0.75)
    w, u = bm(0.25, 0.75, return_U=True)
    assert torch.equal(w, dw)
    torch.testing.assert_close(u, 0.5 * (dw / 2 + area))
    with pytest.raises(TypeError, match="area"):
        AsTorchsde(WienerTree.like(x, 0, 0.0, 1.0), x)(0.0, 1.0, return_U=True)
    with pytest.raises(ValueError, match="single time"):
        bm(0.5)


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
