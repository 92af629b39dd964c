"""The Markov chains of the reversals, on any grid of any process, against what they are made of: no limit, no order.

A variance taken at the wrong level differs by a factor 1 + O(h) and leaves every order of convergence as it was.
"""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.denoisers.base import Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.plugins import implementations
from sde_diffusion.reversal import ancestral, ancestral_large, data_form, ddim
from sde_diffusion.sde import LinearSDE

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values()]
each_process = pytest.mark.parametrize("sde", PROCESSES, ids=lambda sde: type(sde).__name__)
each_step = pytest.mark.parametrize("log_snrs", [(-4.0, -3.9), (-4.0, 3.0), (1.0, 4.0)], ids=["short", "long", "last"])
POINT = 0.7


class Known(Denoiser):
    """The denoiser of data at a point."""

    def forward(self, x_t, kernel, **condition):
        return torch.full_like(x_t, POINT)


@each_process
@each_step
def test_ancestral_is_the_posterior_at_the_denoised_mean(sde, log_snrs):
    denoiser, (t, s) = ExactDenoiser(Gaussian([0.4], [[1.3]])), map(sde.time, log_snrs)
    chain, x = ancestral(sde, denoiser).equation, torch.tensor([[-0.6], [2.0]], dtype=torch.float64)
    mean, std = sde.posterior(x, denoiser(x, sde.kernel(t)), t, s)
    torch.testing.assert_close(chain.mean(x, t, s), mean, rtol=1e-9, atol=1e-12)
    assert chain.spread(t, s) == pytest.approx(std, rel=1e-9)


@each_process
@each_step
def test_the_large_variance_is_that_of_the_step_forwards(sde, log_snrs):
    t, s = map(sde.time, log_snrs)
    chain = ancestral_large(sde, Known()).equation
    assert chain.spread(t, s) == pytest.approx(sde.transition(t, s).sigma, rel=1e-9)


@each_process
@each_step
@pytest.mark.parametrize("eta", [0.0, 0.3, 0.8, 1.0])
def test_every_ddim_carries_the_marginal_to_the_marginal(sde, log_snrs, eta):
    """For data at a point, x_t ~ N(alpha_t x_0, sigma_t^2) becomes N(alpha_s x_0, sigma_s^2), however long the step."""
    t, s = map(sde.time, log_snrs)
    chain = ddim(sde, Known(), eta).equation
    x = torch.tensor([[sde.alpha(t) * POINT], [sde.alpha(t) * POINT + sde.sigma(t)]], dtype=torch.float64)
    centre, deviated = chain.mean(x, t, s)[:, 0].tolist()
    assert centre == pytest.approx(sde.alpha(s) * POINT, rel=1e-9)
    variance = (deviated - centre) ** 2 + chain.spread(t, s) ** 2
    assert variance == pytest.approx(sde.sigma(s) ** 2, rel=1e-9)


@each_process
@each_step
@pytest.mark.parametrize("eta", [0.5, 1.0, 2.0])
def test_the_stochastic_data_form_carries_the_marginal_to_the_marginal(sde, log_snrs, eta):
    """The same for one exact step of the data form: e^{2 (1 + eta^2) h} kappa_t^2 + spread^2 = kappa_s^2."""
    form, (t, s) = data_form(sde, Known(), eta), map(sde.time, log_snrs)
    start, stop = form.clock.from_time(t), form.clock.from_time(s)
    kept = torch.exp(torch.tensor(2 * form.equation.rate * (stop - start) + 2 * start, dtype=torch.float64)).item()
    level = (sde.sigma(s) / sde.alpha(s)) ** 2
    assert kept + form.equation.spread(start, stop) ** 2 == pytest.approx(level, rel=1e-9)
