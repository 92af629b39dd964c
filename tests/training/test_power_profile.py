"""The power-function profile against quadrature, against its own definition and against the update that follows it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from sde_diffusion.training.ema.profile import (
    LONGEST,
    decay,
    gamma_of,
    sigma_rel_of,
)
from sde_diffusion.training.ema.profile_fit import density, overlap

LENGTHS = st.floats(0.005, LONGEST)
TIMES = st.floats(1.0, 1e5)


@given(sigma_rel=st.floats(1e-4, LONGEST))
def test_a_length_and_its_exponent_name_each_other(sigma_rel):
    assert sigma_rel_of(gamma_of(sigma_rel)) == pytest.approx(sigma_rel, rel=1e-12)
    assert gamma_of(sigma_rel) >= 0


@given(sigma_rel=LENGTHS, t=TIMES)
def test_the_length_is_the_standard_deviation_of_the_profile(sigma_rel, t):
    gamma = gamma_of(sigma_rel)
    mass, mean, square = (quad(lambda u, k=k: u**k * density(gamma, 1.0, u), 0, 1, limit=200)[0] for k in range(3))
    assert mass == pytest.approx(1, rel=1e-9)
    assert math.sqrt(square - mean**2) == pytest.approx(sigma_rel, rel=1e-6)
    assert density(gamma, t, 0.7 * t) * t == pytest.approx(density(gamma, 1.0, 0.7), rel=1e-9)


@given(a=LENGTHS, b=LENGTHS, t_a=TIMES, ratio=st.floats(0.05, 20))
def test_inner_products_are_the_integrals(a, b, t_a, ratio):
    """By quadrature over the part that both cover, in units of the earlier time."""
    (g, h), (s, t) = (gamma_of(a), gamma_of(b)), (t_a, ratio * t_a)
    end = min(s, t)
    integral = quad(lambda u: density(g, s, end * u) * density(h, t, end * u), 0, 1, epsabs=0, limit=400)[0] * end
    found = overlap([g], [s], [h], [t])[0, 0]
    assert found == pytest.approx(integral, rel=1e-7, abs=1e-300)
    assert overlap([h], [t], [g], [s])[0, 0] == pytest.approx(found, rel=1e-14)


def test_inner_products_come_in_a_table():
    found = overlap([1.0, 2.0, 3.0], [5.0, 6.0, 7.0], [4.0, 0.0], [6.5, 2.0])
    assert found.shape == (3, 2)
    assert found[1, 0] == overlap([2.0], [6.0], [4.0], [6.5])[0, 0]


@given(sigma_rel=LENGTHS, steps=st.integers(1, 300))
def test_the_updates_weigh_each_step_by_the_integral_of_the_profile(sigma_rel, steps):
    """Exactly: not in the limit of many steps."""
    gamma = gamma_of(sigma_rel)
    shares = np.zeros(steps)
    for n in range(steps):
        shares *= decay(gamma, n)
        shares[n] = 1 - decay(gamma, n)
    edges = (np.arange(steps + 1) / steps) ** (gamma + 1)  # the integral of the profile from 0 to each step
    np.testing.assert_allclose(shares, np.diff(edges), rtol=1e-9, atol=1e-15)
    assert decay(gamma, 0) == 0, "the random start counts for nothing"


@pytest.mark.parametrize("wrong", [0.0, -0.1, 0.2887, 1.0, math.nan, math.inf])
def test_a_length_out_of_range_is_refused(wrong, is_sentence):
    with pytest.raises(ValueError, match="sigma_rel lies in") as caught:
        gamma_of(wrong)
    assert is_sentence(caught.value)
