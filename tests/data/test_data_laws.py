"""The laws on the plane against their densities, moments and curves."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import chi2, kstest

from sde_diffusion.data import by_name
from sde_diffusion.data.checkerboard import HALF, Checkerboard
from sde_diffusion.data.law import Law
from sde_diffusion.data.mixture import Mixture
from sde_diffusion.data.moons import Moons
from sde_diffusion.data.ring import Ring
from sde_diffusion.data.swiss_roll import START, STOP, SwissRoll, _moments
from sde_diffusion.data.two_gaussians import TwoGaussians
from sde_diffusion.plugins import implementations

N = 20_000
LAWS = [
    *(cls() for cls in implementations("sde_diffusion.data", Law).values()),
    Ring(modes=5, std=0.3),
    TwoGaussians(weight=0.2, std=0.4),
    Moons(noise=0.4),
    SwissRoll(noise=2.0),
    Checkerboard(cells=6),
]
MIXTURES = [law for law in LAWS if isinstance(law, Mixture)]


def draw(law: Law, n: int = N, seed: int = 0) -> torch.Tensor:
    return law.sample(n, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_sample_is_a_function_of_the_generators_state(law):
    generator = torch.Generator().manual_seed(0)
    first, second = law.sample(100, generator), law.sample(100, generator)
    assert torch.equal(first, draw(law, 100))
    assert not torch.isin(first, second).any()


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_the_mean_is_zero_and_the_mean_variance_one(law):
    """Two-sided, five standard errors each (significance below 1e-6 a law)."""
    x = draw(law).double()
    assert (x.mean(0).abs() < 5 * x.std(0) / math.sqrt(N)).all()
    power = x.square().mean(1)
    assert abs(float(power.mean()) - 1) < 5 * float(power.std()) / math.sqrt(N)


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_a_source_is_the_law_drawn_twice_with_its_seed(law):
    x, labels = law.tensors("train")
    held_out, _ = law.tensors("held_out")
    assert labels is None
    assert x.shape == (law.size(), *law.event_shape)
    assert x.dtype == torch.float32
    rows = torch.tensor([5, 0, 5, 77])
    assert torch.equal(law.batch(rows, "held_out")[0], held_out[rows])
    assert not torch.isin(x, held_out).all(dim=1).any()
    other = type(law)(seed=law.seed + 1).tensors("train")[0]
    assert not torch.isin(x[:100], other).all(dim=1).any()
    assert not torch.isin(held_out[:100], other).all(dim=1).any()


@pytest.mark.parametrize("law", [Ring(std=0.2), TwoGaussians(weight=0.2, std=0.3), Checkerboard()], ids=str)
def test_the_density_integrates_to_one_and_its_entropy_is_the_samples(law):
    """Midpoint rule with 1000^2 cells on [-4, 4]^2; the mean log-density within five standard errors."""
    side = (torch.arange(1000, dtype=torch.float64) + 0.5) * 0.008 - 4
    log_p = law.log_density(torch.cartesian_prod(side, side))
    p = log_p.exp() * 0.008**2
    assert abs(float(p.sum()) - 1) < 5e-3
    negative_entropy = float((p * log_p.clamp(min=-1e9)).sum())
    scores = law.log_density(draw(law).double())
    assert abs(float(scores.mean()) - negative_entropy) < 5 * float(scores.std()) / math.sqrt(N) + 1e-2


@pytest.mark.parametrize("law", MIXTURES, ids=str)
def test_modes_have_their_weights_and_their_width(law):
    """Chi-square of the nearest-mode counts; the offsets are N(0, s^2) by Kolmogorov-Smirnov; significance 1e-4."""
    x, means = draw(law).double(), law.means
    nearest = torch.cdist(x, means).argmin(1)
    expected = law.weights * N
    if torch.pdist(means).min() > 10 * law.std:
        counts = torch.bincount(nearest, minlength=len(means))
        assert float(((counts - expected) ** 2 / expected).sum()) < chi2.ppf(1 - 1e-4, len(means) - 1)
        offsets = ((x - means[nearest]) / law.std).flatten()
        assert kstest(offsets.numpy(), "norm").pvalue > 1e-4
    assert abs(float(law.weights.sum()) - 1) < 1e-12
    spread = (law.weights[:, None] * means**2).sum(0) + law.std**2
    torch.testing.assert_close(spread, torch.ones(2, dtype=torch.float64))


def test_moons_are_two_half_circles_covered_evenly():
    """Without noise, the standardisation undone, each point is on its arc, at an angle uniform on [0, pi]."""
    law = Moons(noise=0.0)
    deviation = torch.tensor([math.sqrt(0.75), math.sqrt(9 / 16 - 1 / math.pi)], dtype=torch.float64)
    x, y = (draw(law).double() * deviation + torch.tensor([0.5, 0.25])).unbind(1)
    upper, lower = (x**2 + y**2 - 1).abs(), ((x - 1) ** 2 + (y - 0.5) ** 2 - 1).abs()
    assert torch.minimum(upper, lower).max() < 1e-5
    on_upper = upper < lower
    assert abs(float(on_upper.double().mean()) - 0.5) < 5 * 0.5 / math.sqrt(N)
    angle = torch.where(on_upper, torch.atan2(y, x), torch.atan2(0.5 - y, 1 - x))
    assert kstest(angle.numpy() / math.pi, "uniform").pvalue > 1e-4


def test_the_rolls_moments_are_the_integrals_and_its_radius_uniform():
    def average(f, power: int) -> float:
        return quad(lambda t: (t * f(t)) ** power, START, STOP)[0] / (STOP - START)

    expected = [(average(f, 1), average(f, 2)) for f in (math.cos, math.sin)]
    np.testing.assert_allclose(_moments(), expected, rtol=1e-12)
    (mean_x, square_x), (mean_y, square_y) = expected
    scale = math.sqrt((square_x - mean_x**2 + square_y - mean_y**2) / 2)
    points = draw(SwissRoll(noise=0.0)).double() * scale + torch.tensor([mean_x, mean_y], dtype=torch.float64)
    t = points.norm(dim=1)
    assert kstest(t.numpy(), "uniform", args=(START, STOP - START)).pvalue > 1e-4
    torch.testing.assert_close(points, t[:, None] * torch.stack([t.cos(), t.sin()], 1), rtol=0, atol=1e-3)


@pytest.mark.parametrize("cells", [2, 4, 6])
def test_the_checkerboard_is_uniform_on_its_dark_cells(cells):
    """Each cell in four: equal counts on the dark quarters, none on the light ones; chi-square, significance 1e-4."""
    law = Checkerboard(cells=cells)
    x = draw(law).double()
    assert torch.isfinite(law.log_density(x)).all()
    quarter = ((x + HALF) / (2 * HALF) * 2 * cells).floor().long()
    counts = torch.bincount(quarter[:, 0] * 2 * cells + quarter[:, 1], minlength=4 * cells**2).reshape(2 * cells, -1)
    column, row = torch.meshgrid(torch.arange(2 * cells) // 2, torch.arange(2 * cells) // 2, indexing="ij")
    dark = (column + row) % 2 == 0
    assert counts[~dark].sum() == 0
    expected = N / int(dark.sum())
    assert float(((counts[dark] - expected) ** 2 / expected).sum()) < chi2.ppf(1 - 1e-4, int(dark.sum()) - 1)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("ring", {"modes": 2}, "at least 3 modes, got 2"),
        ("ring", {"std": 1.0}, "in \\(0, 1\\), got 1.0"),
        ("two_gaussians", {"weight": 0.0}, "probability of the first mode"),
        ("moons", {"noise": -1.0}, "noise is a deviation"),
        ("swiss_roll", {"noise": float("nan")}, "noise is a deviation"),
        ("checkerboard", {"cells": 3}, "even number of cells"),
        ("ring", {"count": 0}, "number of points, at least 1"),
    ],
)
def test_senseless_laws_are_refused(name, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        by_name(name, **options)
