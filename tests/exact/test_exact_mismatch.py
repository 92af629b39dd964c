"""The prior's mismatch against its closed form, and the bias that it leaves, side by side."""

from __future__ import annotations

import math
import warnings

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.exact.mismatch import prior_mismatch
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import in_log_snr, probability_flow
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import VE, VP, Brownian, SubVP
from solvers import FixedGrid, Heun


@pytest.mark.parametrize("sde", [VP(), SubVP(), VE(), Brownian(2.0)], ids=lambda s: type(s).__name__)
@pytest.mark.filterwarnings("ignore:the prior of")
def test_it_is_the_closed_form_for_gaussians(sde):
    """KL(N(m, v) || N(0, w)) in one dimension, within four standard errors."""
    mean, variance = 0.7, 0.3
    kernel, prior = sde.kernel(sde.horizon), sde.prior()
    m, v = kernel.alpha * mean, kernel.alpha**2 * variance + kernel.sigma**2
    exact = 0.5 * (v / prior.std**2 + m**2 / prior.std**2 - 1 - math.log(v / prior.std**2))
    found = prior_mismatch(Gaussian([mean], [[variance]]), sde)
    assert found.kl == pytest.approx(exact, abs=4 * found.error + 1e-12)


def test_a_short_brownian_horizon_warns_and_a_long_one_does_not():
    with pytest.warns(UserWarning, match="take a longer horizon"):
        prior_mismatch(two(), Brownian(horizon=0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prior_mismatch(two(), Brownian())
        prior_mismatch(two(), VP())


@pytest.mark.filterwarnings("ignore:the prior of")
def test_the_bias_of_the_samples_grows_with_it_and_is_bounded_by_it():
    """From the prior, by the flow: the mean log-density misses the law's by more for a shorter horizon.

    Pinsker: |E_q f - E_p f| <= (max f - min f) sqrt(KL/2); it is checked with f the indicator of the right half-plane.
    """
    law, shares, kls = two(), [], []
    for horizon in (0.5, 20.0):
        sde = Brownian(horizon)
        kls.append(prior_mismatch(law, sde).kl)
        reversal = probability_flow(sde, ExactDenoiser(law))
        x = sample(reversal, FixedGrid(Heun(), 60, in_log_snr(sde)), (4000, 2), chunk=4000, dtype=torch.float64)
        shares.append(abs((x[:, 0] > 0).double().mean().item() - 0.7))
    assert kls[0] > 10 * kls[1]
    assert shares[0] > shares[1]
    noise = 4 * math.sqrt(0.21 / 4000)
    assert all(share < math.sqrt(kl / 2) + noise for share, kl in zip(shares, kls, strict=True))
