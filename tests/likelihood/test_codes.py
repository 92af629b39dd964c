"""Latent codes: there and back, normal under the model, and the way between two of them."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.likelihood import decode, encode, interpolate, upwards
from sde_diffusion.reversal import in_log_snr, velocity_form
from sde_diffusion.sde import EDM, VP
from solvers import FixedGrid
from solvers.methods.predict_evaluate_correct import PredictEvaluateCorrect
from tests.likelihood.laws import plane, rng


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=lambda s: type(s).__name__)
def test_codes_lead_back_and_are_normal(sde):
    """3000 points of a correlated Gaussian: the codes have mean 0 and covariance I, and decode to the points."""
    law = plane()
    form = velocity_form(sde, ExactDenoiser(law)).without_final_denoise()
    spacing, method = in_log_snr(sde, form.clock), PredictEvaluateCorrect(4)
    kernel = sde.kernel(sde.t_min)
    x = law.through(kernel).sample(3000, rng(1))
    z = encode(form, FixedGrid(method, 100, upwards(spacing)), x)
    torch.testing.assert_close(z.mean(0), torch.zeros(2).double(), rtol=0, atol=5 / 3000**0.5)
    torch.testing.assert_close(z.T.cov(), torch.eye(2).double(), rtol=0, atol=7 / 3000**0.5)
    torch.testing.assert_close(decode(form, FixedGrid(method, 100, spacing), z), x, rtol=0, atol=1e-3)


def test_the_way_between_two_codes_keeps_their_length():
    a, b = (torch.randn(3, 4, generator=rng(k), dtype=torch.float64) for k in (2, 3))
    b = b * (a.norm() / b.norm())
    path = interpolate(a, b, torch.linspace(0, 1, 7))
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    torch.testing.assert_close(path.flatten(1).norm(dim=1), a.norm().expand(7))
    steps = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    torch.testing.assert_close(steps, steps[:1].expand(6))
    assert torch.equal(interpolate(a, a, torch.tensor([0.0, 0.5]))[1], a)
