"""The discrete chain: its posterior, its limit, and its round trip to continuous time."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.denoisers import Preconditioned
from sde_diffusion.parameterization import Velocity
from sde_diffusion.sampling import sample, samplers
from sde_diffusion.sde import DDPM, VE, VP, GaussianPrior, SubVP
from solvers import KeyedIncrements
from solvers.wiener import PathSpec

tables = st.lists(st.floats(1e-4, 0.9), min_size=2, max_size=40).map(tuple)


@given(tables)
def test_the_process_meets_the_chain_at_every_node(betas):
    """alpha and sigma at t = i/N are those of the product of the steps, computed step by step."""
    sde = DDPM(betas)
    alpha, variance = 1.0, 0.0
    for i, beta in enumerate(betas, 1):
        alpha, variance = math.sqrt(1 - beta) * alpha, (1 - beta) * variance + beta
        assert sde.alpha(sde.node(i)) == pytest.approx(alpha, rel=1e-9)
        assert sde.sigma(sde.node(i)) ** 2 == pytest.approx(variance, rel=1e-9)
        assert sde.alpha_bar(i) == pytest.approx(alpha**2, rel=1e-9)
        step = sde.transition(sde.node(i), sde.node(i - 1))
        assert step.sigma**2 == pytest.approx(beta, rel=1e-7)


@given(tables, st.floats(0.01, 0.99))
def test_time_is_the_inverse_of_the_log_snr_inside_of_every_step(betas, share):
    """For floats and for tensors; B is another line in each step."""
    sde = DDPM(betas)
    t = (torch.arange(sde.steps, dtype=torch.float64) + share) / sde.steps
    log_snr = 2 * (sde.alpha(t) / sde.sigma(t)).log()
    torch.testing.assert_close(sde.time(log_snr), t, rtol=1e-9, atol=0)
    assert [sde.time(level) for level in log_snr.tolist()] == pytest.approx(t.tolist(), rel=1e-9)


@given(tables, st.integers(2, 40))
def test_the_papers_posterior_is_the_processs_posterior(betas, i):
    sde = DDPM(betas)
    i = 2 + (i - 2) % (sde.steps - 1)
    x_i, x0 = torch.tensor([[1.3]], dtype=torch.float64), torch.tensor([[-0.4]], dtype=torch.float64)
    mean, std = sde.posterior_of_step(x_i, x0, i)
    expected_mean, expected_std = sde.posterior(x_i, x0, sde.node(i), sde.node(i - 1))
    torch.testing.assert_close(mean, expected_mean, rtol=1e-7, atol=1e-10)
    assert std == pytest.approx(expected_std, rel=1e-7)


def test_the_chain_converges_to_the_standard_normal():
    """KL(q(x_N | x_0) || N(0, 1)) for x_0 = 1, in nats: small for the default table, and smaller for a longer one."""

    def kl(sde: DDPM) -> float:
        alpha, variance = math.sqrt(sde.alpha_bar(sde.steps)), 1 - sde.alpha_bar(sde.steps)
        return 0.5 * (variance + alpha**2 - 1 - math.log(variance))

    default = DDPM()
    assert kl(default) < 1e-4
    assert kl(DDPM(default.betas * 2)) < 1e-4 * kl(default)
    assert kl(DDPM(default.betas[:300])) > 1e-2


def test_a_process_becomes_a_chain_and_comes_back():
    vp = VP(beta_min=0.2, beta_max=15.0, horizon=2.0)
    chain = DDPM.from_process(vp, 50)
    for i in range(1, 51):
        t = chain.node(i)
        assert chain.alpha(t) == pytest.approx(vp.alpha(t), rel=1e-10)
        assert chain.sigma(t) == pytest.approx(vp.sigma(t), rel=1e-10)


def test_the_chains_rate_converges_to_the_processs():
    """beta of the chain -> beta(t) of the process with an error that halves when the steps double."""
    vp = VP()

    def worst(steps: int) -> float:
        chain = DDPM.from_process(vp, steps)
        return max(abs(chain.beta(u) - vp.beta(u)) for u in (0.1234, 0.5678, 0.9012))

    errors = [worst(n) for n in (100, 400, 1600)]
    assert errors[0] < 0.11
    assert errors[2] < errors[0] / 8


@pytest.mark.parametrize("process", [VE, SubVP])
def test_a_chain_is_made_of_variance_preserving_processes_only(process):
    with pytest.raises(ValueError, match=f"{process.__name__} does not preserve variance"):
        DDPM.from_process(process())


def test_the_cosine_table_is_the_papers():
    """alpha_bar(t) = cos^2((t + s)/(1 + s) pi/2) over its value at 0, until the clip takes over at the end."""
    chain = DDPM.cosine(100)

    def f(u: float) -> float:
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    for i in (1, 20, 50, 99):
        assert chain.alpha_bar(i) == pytest.approx(f(i / 100) / f(0), rel=1e-9)
    assert chain.betas[-1] == 0.999


def test_a_chain_of_zero_terminal_snr_is_that_of_diffusers():
    """The table of algorithm 1, whose last beta is 1 there; ours leaves alpha_bar = 2^-24, as diffusers' schedulers do."""
    rescale = pytest.importorskip("diffusers.schedulers.scheduling_ddim").rescale_zero_terminal_snr
    chain = DDPM()
    expected = rescale(torch.tensor(chain.betas, dtype=torch.float64))
    found = torch.tensor(chain.zero_terminal_snr().betas, dtype=torch.float64)
    torch.testing.assert_close(found[:-1], expected[:-1], rtol=0, atol=1e-9)
    assert expected[-1] == 1
    assert chain.zero_terminal_snr().alpha_bar(chain.steps) <= 2**-24
    short = DDPM(tuple((0.02915 + i * (0.10954 - 0.02915) / 999) ** 2 for i in range(1000)))  # Stable Diffusion's
    assert short.zero_terminal_snr().alpha_bar(1000) == pytest.approx(2**-24, rel=1e-6)


class KnowsV(torch.nn.Module):
    """A network that answers E[v | x_t] for N(2, 0.25), from the input and the level that `Velocity` gives it.

    v is a linear function of x_t for a Gaussian; it is computed without a division by alpha, as a network computes.
    """

    def forward(self, x, c_time):
        assert torch.isfinite(x).all()
        angle = torch.atan(c_time.double().exp())[:, None]
        a, s = angle.cos(), angle.sin()
        residual = x - 2 * a
        return (-2 * s + residual * a * s * (1 - 0.25) / (0.25 * a**2 + s**2)).to(x)


@pytest.mark.parametrize("name", ["default", "ddim", "dpmpp_2m", "euler", "heun", "unipc", "deis", "ab4", "ddpm"])
def test_samples_of_zero_terminal_snr_are_of_the_law(name):
    """In float32 and from noise without the data's mean: the first step is finite, and mean and deviation are the law's."""
    chain = DDPM().zero_terminal_snr()
    denoiser = Preconditioned(KnowsV(), Velocity())
    reversal, solver = samplers.parse(name).build(chain, denoiser, nfe=60)
    first, *_ = solver.trajectory(
        reversal.equation,
        reversal.to_chart(torch.ones(1, 4), reversal.start),
        reversal.start,
        reversal.stop,
        None if name != "ddpm" else KeyedIncrements(PathSpec.like(torch.ones(1, 4), 0, reversal.start, reversal.stop)),
    )
    assert torch.isfinite(reversal.from_chart(first[1], first[0])).all()
    x = sample(reversal.with_prior(GaussianPrior(0.0, 1.0)), solver, (4000, 1), seed=3)
    assert x.dtype == torch.float32
    assert x.mean().item() == pytest.approx(2, abs=0.04)  # five standard errors
    assert x.std().item() == pytest.approx(0.5, abs=0.03)
