"""The tree that knows its Levy area: its exact law, Chen's relation, the bits, and a method of order 1.5 on one path.

What is linear in normal variables has its law in its covariance, and the covariance is had without drawing a number:
each variable is replaced by an axis of its own (`impulses`), and inner products are covariances.
"""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from solvers import FixedGrid, ItoSDE, WienerTree
from solvers.area_tree import AreaTree
from solvers.dyadic_tree import DyadicTree, locate
from solvers.methods.sra1 import SRA1
from solvers.testing.orders import observed_order
from solvers.testing.problems import additive
from tests.solvers.paths import spec, state, times

AXES = 2000
LOW, HIGH = -1.0, 2.0


def impulses(kind: type[DyadicTree], span=(LOW, HIGH), max_steps=2**6) -> DyadicTree:
    """A tree whose one sample has the n-th variable asked for in its n-th element, times its deviation."""
    tree = kind(spec(1, (AXES,), span=span), max_steps)
    axes: dict[tuple[int, int], int] = {}

    def fresh(leaf, first, last):
        for row in range(first, last + 1):
            number = leaf.number >> (leaf.level - row + 1)
            yield tuple(
                axis(axes.setdefault((number, place), len(axes)), math.sqrt(abs(span[1] - span[0])) * deviation)
                for place, deviation in enumerate(tree._deviations()[row])
            )

    tree.fresh = fresh
    return tree


def axis(n: int, length: float) -> Tensor:
    e = torch.zeros(1, AXES, dtype=torch.float64)
    e[0, n] = length
    return e


def apart(grid: list[float], max_steps=2**6) -> list[float]:
    """The times of a grid, the first one in each leaf."""
    resolution = (max_steps - 1).bit_length()
    first = {locate((t - LOW) / (HIGH - LOW), resolution)[0]: t for t in sorted(grid, reverse=True)}
    return sorted({LOW, *first.values()})


def steps_of(path, grid: list[float]) -> tuple[Tensor, Tensor]:
    """Increments and areas over a grid, (N, ...) each."""
    dw, area = zip(*(path.increment_and_area(t, s) for t, s in pairwise(grid)), strict=True)
    return torch.stack(dw), torch.stack(area)


# the law


@given(st.lists(times(LOW, HIGH), min_size=2, max_size=12))
def test_increments_and_areas_have_exactly_their_joint_law(asked):
    """Over any grid with one time in each leaf: variances h and h/12, and not one covariance."""
    grid = [t for t, s in pairwise([*apart(asked), math.inf]) if s - t > 1e-6]
    if len(grid) < 2:
        return
    dw, area = (part.flatten(1) for part in steps_of(impulses(AreaTree), grid))
    h = torch.tensor(grid, dtype=torch.float64).diff()[:, None]
    z = torch.cat([dw / h.sqrt(), area / (h / 12).sqrt()])
    torch.testing.assert_close(z @ z.T, torch.eye(len(z), dtype=torch.float64), rtol=0, atol=1e-8)


@given(st.lists(times(LOW, HIGH), min_size=1, max_size=12))
def test_the_wiener_tree_has_exactly_its_covariance(asked):
    """Cov(W_s, W_t) = min(s, t), counted from the beginning."""
    grid, tree = apart(asked), impulses(WienerTree)
    w = torch.stack([tree.increment(LOW, t).flatten() for t in grid])
    t = torch.tensor(grid, dtype=torch.float64) - LOW
    torch.testing.assert_close(w @ w.T, torch.minimum(t[:, None], t), rtol=0, atol=1e-13)


@given(st.lists(times(LOW, HIGH), min_size=1, max_size=12))
def test_the_path_and_its_integral_have_exactly_their_covariances(asked):
    """For s <= t: Cov(A_s, A_t) = s^2 (3 t - s)/6, Cov(W_s, A_t) = s t - s^2/2, Cov(A_s, W_t) = s^2/2."""
    grid, tree = apart(asked), impulses(AreaTree)
    w, a = (torch.cat(part) for part in zip(*(tree.at(t) for t in grid), strict=True))
    t = torch.tensor(grid, dtype=torch.float64) - LOW
    first, second = torch.minimum(t[:, None], t), torch.maximum(t[:, None], t)
    torch.testing.assert_close(a @ a.T, first**2 * (3 * second - first) / 6, rtol=0, atol=1e-13)
    crossed = torch.where(t[:, None] <= t, t[:, None] * t - t[:, None] ** 2 / 2, t**2 / 2)
    torch.testing.assert_close(w @ a.T, crossed, rtol=0, atol=1e-13)


def test_the_area_is_that_of_the_path():
    """(1) of solvers.wiener by the trapezoidal rule on the tree's own increments, 512 intervals of length d: what the
    rule misses has the variance d^3/12 an interval; 5 sigma over 3000 numbers."""
    path, count = AreaTree.like(state(1000, (3,)), 2, 0.0, 1.0), 512
    grid = [0.25 + k / 1024 for k in range(count + 1)]
    w = torch.stack([path.increment(grid[0], t) for t in grid])
    dw, area = path.increment_and_area(grid[0], grid[-1])
    missed = (torch.trapezoid(w, dx=1 / 1024, dim=0) / 0.5 - dw / 2 - area) / math.sqrt(count / 1024**3 / 12 / 0.25)
    assert abs(missed.var() - 1) < 5 * math.sqrt(2 / 3000)


# one path, whatever is asked


@given(st.lists(times(), min_size=3, max_size=6))
def test_areas_add_up(grid):
    """Chen: the integral of W - W(t) over [t, s] is the one over [t, r], the one over [r, s], and (s - r)(W(r) - W(t))."""
    path = AreaTree(spec())
    total, climbed = torch.zeros(4, 3, dtype=torch.float64), torch.zeros(4, 3, dtype=torch.float64)
    for t, s in pairwise(grid):
        dw, area = path.increment_and_area(t, s)
        total += (s - t) * (climbed + dw / 2 + area)
        climbed += dw
    dw, area = path.increment_and_area(grid[0], grid[-1])
    torch.testing.assert_close(total, (grid[-1] - grid[0]) * (dw / 2 + area), rtol=0, atol=1e-14)
    torch.testing.assert_close(climbed, dw, rtol=0, atol=1e-14)


@given(t=st.lists(times(-1.0, 2.0), min_size=3, max_size=3), s=st.lists(times(-1.0, 2.0), min_size=3, max_size=3))
def test_areas_at_times_of_shape_batch_have_the_bits_of_floats(t, s):
    path = AreaTree(spec(3, (5,), torch.float32, span=(2.0, -1.0)))
    each = path.increment_and_area(torch.tensor(t, dtype=torch.float64), torch.tensor(s, dtype=torch.float64))
    for i in range(3):
        one = path.increment_and_area(t[i], s[i])
        assert torch.equal(each[0][i], one[0][i])
        assert torch.equal(each[1][i], one[1][i])


@given(st.lists(times(), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_areas_know_neither_the_batch_nor_what_was_asked_before(asked, random):
    path = AreaTree(spec(7, (3,), indices=[5, 2, 998, 0, 77, 3, 11]))
    for _ in asked:
        t, s = random.choice(asked), random.choice(asked)
        dw, area = path.increment_and_area(t, s)
        alone = AreaTree(spec(1, (3,), indices=[11])).increment_and_area(s, t)
        assert torch.equal(dw[6], -alone[0][0])
        assert torch.equal(area[6], alone[1][0])


def test_no_step_has_no_area():
    path = AreaTree(spec())
    t = torch.tensor([0.3, 0.3, 0.5, 1.0], dtype=torch.float64)
    for dw, area in (path.increment_and_area(0.3, 0.3), path.increment_and_area(t, t)):
        assert not dw.any()
        assert not area.any()
    assert path.increment_and_area(0.3, t)[1].any(1).tolist() == [False, False, True, True]


# order 1.5 on one path


@pytest.mark.parametrize("direction", [(0.3, 1.5), (1.5, 0.3)])
def test_sra1_has_its_order_under_refinement_of_one_path(direction):
    """Root mean square distance of 300 samples to 1024 steps on the same tree: order 1.5 within 0.2."""
    x = torch.full((300, 1), 0.7, dtype=torch.float64)
    path = AreaTree.like(x, 4, *direction)

    def end(steps: int) -> Tensor:
        return FixedGrid(SRA1(), steps)(additive(ItoSDE, bend=1.0), x, *direction, path)

    reference = end(1024)
    errors = [(end(steps) - reference).square().mean().sqrt().item() for steps in (32, 64)]
    assert observed_order(errors) == pytest.approx(1.5, abs=0.2)
