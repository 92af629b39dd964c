"""Contract of every parameterisation on disk: decode(target) = x0, and every pair agrees on the score."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.kernel import Kernel
from sde_diffusion.parameterization import Parameterization
from sde_diffusion.plugins import implementations

FOUND = implementations("sde_diffusion.parameterization", Parameterization)
found = st.sampled_from(sorted(FOUND)).map(FOUND.__getitem__)
level = st.floats(-6, 6).map(lambda u: 10.0 ** (u / 2))
channels = st.builds(Kernel, st.floats(0.01, 1.5), level)


def test_those_of_the_literature_are_there():
    assert {"noise", "data", "score", "velocity", "flow", "edm"} <= set(FOUND)


@given(found, channels, st.floats(0.2, 3.0), st.sampled_from([(3,), (1, 2, 2)]))
def test_decode_inverts_target(cls, kernel, data_std, event):
    generator = torch.Generator().manual_seed(0)
    x0, noise = torch.randn(2, 5, *event, generator=generator, dtype=torch.float64)
    p = cls(data_std=data_std)
    x_t = kernel.perturb(x0, noise)
    conditioning = max(1.0, kernel.sigma / kernel.alpha)
    torch.testing.assert_close(
        p.to_denoised(p.target(x0, noise, kernel), x_t, kernel), x0, rtol=1e-9, atol=1e-12 * conditioning
    )


@given(found, channels)
def test_the_networks_time_is_the_logarithm_of_sigma_over_alpha(cls, kernel):
    level = cls(data_std=0.7).level(torch.zeros(3, 2, dtype=torch.float64), kernel)
    torch.testing.assert_close(level.exp(), torch.full((3,), kernel.sigma / kernel.alpha, dtype=torch.float64))


@given(found, st.floats(0.2, 3.0))
def test_levels_may_differ_within_a_batch(cls, data_std):
    p = cls(data_std=data_std)
    kernel = Kernel(torch.tensor([0.9, 0.3], dtype=torch.float64), torch.tensor([0.2, 4.0], dtype=torch.float64))
    x0, noise = torch.tensor([[[0.3, -1.0], [0.5, 2.0]], [[1.0, 0.1], [-0.7, 0.2]]], dtype=torch.float64)
    for function in (
        lambda k, a, b: p.target(a, b, k),
        lambda k, a, b: p.to_denoised(a, b, k),
        lambda k, a, b: p.precondition(b, k),
    ):
        whole = function(kernel, x0, noise)
        for i in range(2):
            one = Kernel(kernel.alpha[i].item(), kernel.sigma[i].item())
            torch.testing.assert_close(whole[i : i + 1], function(one, x0[i : i + 1], noise[i : i + 1]))


@pytest.mark.parametrize("pair", list(combinations(sorted(FOUND), 2)), ids="-".join)
def test_networks_that_know_the_law_agree_on_the_score(pair):
    """Each backbone outputs the posterior mean of its own target; both denoisers give the exact score of the law."""
    law = Gaussian(torch.tensor([0.5, -1.0], dtype=torch.float64), torch.tensor([[1.0, 0.4], [0.4, 0.5]]).double())
    x_t = torch.randn(7, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for kernel in (Kernel(0.7, 0.3), Kernel(1.0, 20.0), Kernel(0.2, 0.01)):
        scores = [kernel.score(x_t, knowing(FOUND[name](), law, kernel, x_t)(x_t, kernel)) for name in pair]
        exact = law.through(kernel).score(x_t)
        for score in scores:
            torch.testing.assert_close(score, exact, rtol=1e-7, atol=1e-9 / kernel.sigma)


class Told(torch.nn.Module):
    """A backbone that answers what it is told."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, x, c_time):
        return self.answer


def knowing(parameterization, law, kernel, x_t):
    """A denoiser whose network knows E[target | x_t]; the targets are linear in (x0, noise) given x_t."""
    x0 = ExactDenoiser(law)(x_t, kernel)
    return Preconditioned(Told(parameterization.target(x0, kernel.noise(x_t, x0), kernel)), parameterization)


@given(found, channels)
def test_the_networks_input_has_unit_variance(cls, kernel):
    """For data of the stated deviation: var(alpha x0 + sigma eps) brought to 1, in closed form."""
    p = cls(data_std=0.7)
    one = torch.ones(1, 1, dtype=torch.float64)
    a, b = p.precondition(kernel.mean(0.7 * one), kernel).item(), p.precondition(kernel.sigma * one, kernel).item()
    assert a**2 + b**2 == pytest.approx(1.0)


@given(channels)
def test_flow_is_the_velocity_of_the_line_and_v_that_of_the_circle(kernel):
    """d x_t/dt of x_t = (1 - t) x0 + t eps, and d x_t/dphi of x_t = cos(phi) x0 + sin(phi) eps, at alpha = cos, sigma = sin."""
    x0, noise = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    time, angle = kernel.sigma / (kernel.alpha + kernel.sigma), torch.atan2(*torch.tensor([kernel.sigma, kernel.alpha]))
    one = torch.ones((), dtype=torch.float64)
    _, line = torch.func.jvp(lambda t: (1 - t) * x0 + t * noise, (time * one,), (one,))
    _, circle = torch.func.jvp(lambda phi: phi.cos() * x0 + phi.sin() * noise, (angle * one,), (one,))
    torch.testing.assert_close(FOUND["flow"]().target(x0, noise, kernel), line)
    torch.testing.assert_close(FOUND["velocity"]().target(x0, noise, kernel), circle, rtol=1e-6, atol=1e-6)


def test_edm_targets_have_unit_variance():
    """Karras et al. derive c_out from this: Var[target] = 1 at every level, in closed form."""
    p = FOUND["edm"](data_std=0.5)
    one = torch.ones(1, 1, dtype=torch.float64)
    for sigma in (0.002, 0.3, 80.0):
        kernel = Kernel(1.0, sigma)
        a = p.target(0.5 * one, 0 * one, kernel).item()
        b = p.target(0 * one, one, kernel).item()
        assert a**2 + b**2 == pytest.approx(1.0)


def test_a_deviation_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="data_std must be positive"):
        FOUND["noise"](data_std=0.0)
