"""Observations: adjoints, what is seen, their densities, other coordinates, refusals."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.observations import BlockAverage, Blur, Function, LinearMeasurement, Mask, Matrix, OneBit, Square
from tests.observations.observed_cases import all_kinds, linear, normal


@pytest.mark.parametrize("name", linear())
def test_the_adjoint_is_the_adjoint_and_the_matrix_is_the_map(name):
    observation, shape = linear()[name]
    x, v = normal(3, *shape, seed=7), normal(3, *observation.y.shape, seed=8)
    seen, back = observation.apply(x), observation.adjoint(v)
    assert seen.shape == v.shape
    assert back.shape == x.shape
    torch.testing.assert_close((seen * v).flatten(1).sum(1), (x * back).flatten(1).sum(1))
    torch.testing.assert_close(x.flatten(1) @ observation.matrix().mT, seen.flatten(1))
    torch.testing.assert_close(observation.gram(), observation.matrix() @ observation.matrix().mT)


def test_what_is_seen():
    x = torch.arange(12.0, dtype=torch.float64).reshape(1, 1, 3, 4)
    seen = torch.zeros(1, 3, 4, dtype=torch.bool)
    seen[0, 0, 1], seen[0, 2, 3] = True, True
    assert Mask(torch.zeros(2, dtype=torch.float64), seen, 0.1).apply(x).tolist() == [[1, 11]]
    assert BlockAverage(torch.zeros(1, 1, 2).double(), (1, 3, 2), 0.1).apply(x).flatten().tolist() == [4.5, 6.5]
    kernel = torch.tensor([[0.0, 0, 0], [0, 0, 1], [0, 0, 0]], dtype=torch.float64)  # one to the right of the middle
    moved = Blur(torch.zeros(1, 3, 4).double(), kernel, 0.1).apply(x)
    torch.testing.assert_close(moved, x.roll(1, -1))


@pytest.mark.parametrize("name", all_kinds())
def test_in_other_coordinates_it_is_the_same_law_of_the_same_sample(name):
    observation, shape = all_kinds()[name]
    shift, scale = normal(*shape, seed=11), normal(*shape, seed=12).abs() + 0.3
    z = normal(4, *shape, seed=13)
    moved = observation.in_coordinates(shift, scale)
    torch.testing.assert_close(moved.log_prob(z), observation.log_prob(shift + scale * z))
    once = observation.in_coordinates(torch.tensor(0.5), torch.tensor(2.0))  # one number for all
    torch.testing.assert_close(once.log_prob(z), observation.log_prob(0.5 + 2 * z))
    if isinstance(moved, LinearMeasurement):
        v = normal(4, *moved.y.shape, seed=14)
        torch.testing.assert_close((moved.apply(z) * v).sum(), (z * moved.adjoint(v)).sum())


def test_the_pull_of_a_function_is_its_derivative():
    observation = all_kinds()["function"][0]
    x, v, step = normal(3, 2, 2, seed=1), normal(3, 3, seed=2), normal(3, 2, 2, seed=3)
    h = 1e-5
    slope = (observation.apply(x + h * step) - observation.apply(x - h * step)) / (2 * h)
    torch.testing.assert_close((observation.pull(x, v) * step).sum(), (slope * v).sum(), rtol=1e-8, atol=0)


def test_densities_integrate_to_one_over_what_may_be_seen():
    """Over y: a sum of the two bits, a trapezoid of y = z^2 + noise and of a measurement."""
    x = normal(3, 1, seed=5)
    bits = [OneBit(y, torch.ones(1).double(), 0.4).log_prob(x).exp() for y in (1, -1)]
    torch.testing.assert_close(sum(bits), torch.ones(3).double())
    ys = torch.linspace(-8, 16, 4001, dtype=torch.float64)
    for make in (
        lambda y: Square(y, torch.ones(1).double(), 0.3),
        lambda y: Function(torch.tensor([y]).double(), torch.sin, 0.3),
    ):
        values = torch.stack([make(y).log_prob(x).exp() for y in ys.tolist()])
        torch.testing.assert_close(torch.trapezoid(values, ys, dim=0), torch.ones(3).double())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Mask(torch.zeros(2), torch.ones(3, dtype=torch.bool), 0.1), r"Mask\(x\[seen\]"),
        (lambda: Mask(torch.zeros(3), torch.ones(3), 0.1), "truth values"),
        (lambda: BlockAverage(torch.zeros(3), (2, 2), 0.1), "a length for each"),
        (lambda: Matrix(torch.zeros(3), torch.ones(2, 4), 0.1), "a row for each"),
        (lambda: Blur(torch.zeros(1, 4), torch.ones(5), 0.1), "no larger"),
        (lambda: Mask(torch.zeros(3), torch.ones(3, dtype=torch.bool), 0.0), "above 0"),
        (lambda: Mask(torch.full((1,), math.nan), torch.ones(1, dtype=torch.bool), 0.1), "finite numbers"),
        (lambda: OneBit(0, torch.ones(2), 0.1), "2 \\* bit - 1"),
        (lambda: OneBit(1, torch.zeros(2), 0.1), "not 0"),
        (lambda: Square(1.0, torch.ones(2), -1.0), "above 0"),
        (lambda: BlockAverage(torch.zeros(3), (2,), 0.1).apply(torch.zeros(1, 5)), "of shape"),
        (lambda: Function(torch.zeros(3), torch.sin, 0.1).log_prob(torch.zeros(1, 5)), "as many numbers"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(make, words):
    with pytest.raises(ValueError, match=words):
        make()
