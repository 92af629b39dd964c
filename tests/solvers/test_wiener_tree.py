"""The Wiener tree: one path, whatever is asked; its exact law on grids, and its cost.

Every test is deterministic. Statistical thresholds are in standard deviations of a perfect path, with the probability
that one would miss them.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from solvers.area_tree import AreaTree
from solvers.dyadic_tree import locate, locate_each
from solvers.wiener_tree import WienerTree
from tests.solvers.paths import SEEDED, deviates, spec, state, times, values

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
    monkeypatch.setattr("solvers.dyadic_tree._AT_ONCE", 1)
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
    leaves = [locate(v, resolution)[0] for v in u]
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
    each, w = locate_each(torch.tensor(u, dtype=torch.float64), resolution)
    for i, v in enumerate(u):
        leaf, inside = locate(v, resolution)
        assert leaf == (int(each.number[i]), int(each.level[i]))
        assert inside == float(w[i])
        assert (leaf.number - 2**leaf.level + inside) / 2**leaf.level == v
        k, last = leaf.number - 2**leaf.level, 2**leaf.level - 1
        assert leaf.level == 42 or min(k, last - k) >= 2**resolution
        assert leaf.level == 0 or min(k >> 1, last - k >> 1) < 2**resolution


# WienerTree: its cost


@pytest.mark.parametrize("kind", [WienerTree, AreaTree])
def test_a_walk_draws_few_variables(monkeypatch, kind):
    """R - log2 N + 5 rows for each step, and none for a second look."""
    path, rows = kind(spec(2, (1,), span=(1.0, 0.0))), 0
    draw = path._variables._draw

    def counted(leaf, block):
        nonlocal rows
        rows += block.stop - block.start
        return draw(leaf, block)

    monkeypatch.setattr(path._variables, "_draw", counted)
    grid = torch.linspace(1, 0, 1001, dtype=torch.float64).tolist()
    for t, s in pairwise(grid):
        path.increment(t, s)
    assert rows / 1000 < math.log2(path.max_steps) - math.log2(1000) + 5.1
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
        states = {
            value.untyped_storage().data_ptr(): value for row in path._stack._rows for half in row for value in half
        }
        assert sum(value.untyped_storage().nbytes() for value in states.values()) <= 45 * 2 * 8
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
