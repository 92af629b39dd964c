"""The learnt weighting: its minimum is the logarithm of the loss at each noise level, known in closed form for a Gaussian."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.denoisers import Denoiser
from sde_diffusion.objectives import (
    DenoisingScoreMatching,
    Dequantised,
    EDMWeighting,
    LearnedUncertainty,
    LogNormalLevel,
    learnt_by,
    simple,
    stratified,
)
from sde_diffusion.sde import VP

SDE = VP()


class Shrunk(Denoiser):
    """x0_hat = share times the posterior mean of N(0, 1): right for 1, wrong by a known amount for any other share."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, x_t, kernel, **condition):
        on_x = self.share * kernel.alpha / (kernel.alpha**2 + kernel.sigma**2)
        return on_x[:, None].to(x_t) * x_t

    def error(self, t):
        """E|x0_hat - x0|^2 for one coordinate of N(0, 1), at times t."""
        kernel = SDE.kernel(t)
        gain = self.share * kernel.alpha / (kernel.alpha**2 + kernel.sigma**2)
        return (gain * kernel.alpha - 1) ** 2 + (gain * kernel.sigma) ** 2


@pytest.mark.parametrize(("share", "weighting"), [(1.0, simple), (0.3, EDMWeighting(1.0))], ids=["right", "wrong"])
def test_the_optimum_is_the_log_of_the_loss_at_each_level(share, weighting):
    """Gradient descent on fresh batches; u and log E[w |D - x0|^2] within 0.08, of levels within 1.6 standard deviations."""
    generator = torch.Generator().manual_seed(0)
    objective, denoiser = LearnedUncertainty(weighting), Shrunk(share)
    steps = 300
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.05)
    fading = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        objective(denoiser, SDE, torch.randn(256, 64, generator=generator), generator).mean().backward()
        optimizer.step()
        fading.step()
    t = SDE.time(-2 * torch.linspace(-2.0, 1.2, 30, dtype=torch.float64))
    exact = torch.log(weighting(SDE, t) * denoiser.error(t))
    found = objective.uncertainty(SDE, t).detach().double()
    assert exact.max() - exact.min() > 0.5  # what is learnt is no constant
    torch.testing.assert_close(found, exact, rtol=0, atol=0.08)


def test_the_loss_is_the_weighted_one_over_its_size_and_the_log_of_the_size():
    """Equation (1), with the same draws as denoising score matching makes."""
    objective = LearnedUncertainty(simple, LogNormalLevel())
    with torch.no_grad():
        objective.gains.copy_(torch.linspace(-1, 1, len(objective.gains)))
    x0, denoiser = torch.randn(16, 3, generator=torch.Generator().manual_seed(1)), Shrunk(0.5)
    plain = DenoisingScoreMatching(simple, LogNormalLevel())(denoiser, SDE, x0, torch.Generator().manual_seed(2))
    u = objective.uncertainty(SDE, LogNormalLevel()(SDE, stratified(x0, torch.Generator().manual_seed(2)))).detach()
    found = objective(denoiser, SDE, x0, torch.Generator().manual_seed(2)).detach()
    torch.testing.assert_close(found, plain / u.exp() + u)
    assert u.std() > 0.1


def test_a_new_one_is_the_weighted_loss():
    x0, denoiser = torch.randn(16, 3, generator=torch.Generator().manual_seed(1)), Shrunk(0.5)
    plain = DenoisingScoreMatching(simple, LogNormalLevel())(denoiser, SDE, x0, torch.Generator().manual_seed(2))
    new = LearnedUncertainty(simple, LogNormalLevel())(denoiser, SDE, x0, torch.Generator().manual_seed(2))
    torch.testing.assert_close(new, plain)


def test_what_learns_is_found_within():
    objective = LearnedUncertainty()
    assert learnt_by(objective) is objective
    assert learnt_by(Dequantised(objective, 2 / 255)) is objective
    assert learnt_by(DenoisingScoreMatching()) is None
    assert learnt_by(objective.requires_grad_(False)) is None
