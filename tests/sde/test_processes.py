"""Contract of every process on disk: its closed forms solve its own equation, at random parameters and times."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.plugins import implementations
from sde_diffusion.sde import DDPM, EDM, SDE, VE, VP, Brownian, Cosine, LinearSDE, Rectified, SubVP
from sde_diffusion.testing import channels, moments, strategies
from solvers import EulerMaruyama, FixedGrid, FreshIncrements, ItoSDE, geometric

unit = st.floats(0.0, 1.0)
PARAMETERS = strategies.processes()
FOUND = implementations("sde_diffusion.sde", LinearSDE).values()
each_process = pytest.mark.parametrize("process", PARAMETERS.values(), ids=[cls.__name__ for cls in PARAMETERS])
"""Random parameters of every process in turn: drawn from all of them at once, some would never come up."""
FLOATS = [torch.float32, torch.float64]


def inside(sde: LinearSDE, u: float) -> float:
    """A time inside (t_min, horizon), away from the kinks of a piecewise table."""
    t = sde.t_min + (sde.horizon - sde.t_min) * (0.001 + 0.998 * u)
    if isinstance(sde, DDPM):
        cell = t / sde.t_min
        t = (math.floor(cell) + min(max(cell % 1, 0.05), 0.95)) * sde.t_min
    return min(t, sde.horizon * (1 - 1e-9))


def failed(findings) -> list:
    """What the kit has to say against a process."""
    return [finding for finding in findings if finding.failed]


def test_every_process_on_disk_is_under_contract():
    assert set(FOUND) == set(PARAMETERS)


@each_process
@given(data=st.data())
def test_moments_solve_the_equation_of_the_process(process, data):
    """d(log alpha)/dt = f and d(sigma^2)/dt = 2 f sigma^2 + g^2, by forward-mode differentiation."""
    assert failed(moments.moment_equations(data.draw(process))) == []


@each_process
@given(data=st.data())
def test_log_snr_falls_and_time_inverts_it(process, data):
    assert failed(channels.log_snr(data.draw(process))) == []


@each_process
@given(data=st.data(), u=unit)
def test_a_float_and_a_tensor_time_say_the_same(process, data, u):
    sde = data.draw(process)
    t = inside(sde, u)
    tensor = torch.tensor([t, sde.horizon], dtype=torch.float64)
    for function in (sde.f, sde.g, sde.alpha, sde.sigma, sde.log_snr):
        rounding = 1e-13 if function == sde.log_snr else 1e-300  # the log-SNR is a difference of logarithms
        torch.testing.assert_close(function(tensor)[0].item(), function(t), rtol=1e-12, atol=rounding)
    log_snr = torch.as_tensor(sde.log_snr(tensor))
    torch.testing.assert_close(sde.time(log_snr)[0].item(), sde.time(log_snr[0].item()), rtol=1e-12, atol=0)


@each_process
@given(data=st.data())
def test_transitions_compose_to_the_marginal_and_to_each_other(process, data):
    assert failed(channels.transitions(data.draw(process))) == []


@each_process
@given(data=st.data())
def test_posterior_is_bayes_rule(process, data):
    """By quadrature of p(x_t | x_s) p(x_s | x_0)."""
    assert failed(channels.posterior(data.draw(process))) == []


@each_process
@given(data=st.data(), u=unit, event=st.sampled_from([(), (3,), (1, 2, 2)]), dtype=st.sampled_from(FLOATS))
def test_marginal_takes_any_event_and_one_time_for_each_sample(process, data, u, event, dtype):
    sde = data.draw(process)
    t = torch.tensor([inside(sde, u), sde.t_min, sde.horizon], dtype=torch.float64)
    x0 = torch.arange(3 * math.prod(event), dtype=dtype).reshape(3, *event) + 1
    mean, std = sde.marginal(x0, t)
    assert mean.dtype == std.dtype == dtype
    for i in range(3):
        alone, deviation = sde.marginal(x0[i : i + 1], t[i].item())
        torch.testing.assert_close(mean[i], alone[0], rtol=1e-6, atol=1e-12)
        torch.testing.assert_close(std[i].flatten(), deviation.flatten(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("process", [VP, SubVP, Cosine, Brownian, EDM, Rectified], ids=lambda p: p.__name__)
@pytest.mark.parametrize("t", [1e-12, 1e-8, 1e-5])
def test_sigma_keeps_its_digits_where_the_process_has_hardly_begun(process, t):
    """sqrt(1 - exp(2c)) loses half its digits at t = 1e-5 in float32; ours agrees with 50 digits to 1e-14."""
    mpmath = pytest.importorskip("mpmath", reason="mpmath comes with torch (through sympy)")
    with mpmath.workdps(50):
        u, sde = mpmath.mpf(t), process()
        exact = {
            VP: lambda: mpmath.sqrt(-mpmath.expm1(-(0.1 * u + 0.5 * (mpmath.mpf(20.0) - mpmath.mpf(0.1)) * u**2))),
            SubVP: lambda: -mpmath.expm1(-(0.1 * u + 0.5 * (mpmath.mpf(20.0) - mpmath.mpf(0.1)) * u**2)),
            Cosine: lambda: mpmath.sin(mpmath.pi / 2 * u),
            Brownian: lambda: mpmath.sqrt(u),
            EDM: lambda: u,
            Rectified: lambda: u,
        }[process]()
    assert sde.sigma(t) == pytest.approx(float(exact), rel=1e-13)
    assert sde.sigma(torch.tensor(t, dtype=torch.float64)).item() == pytest.approx(float(exact), rel=1e-13)
    assert sde.transition(2 * t, t).sigma > 0


@pytest.mark.parametrize("process", list(PARAMETERS), ids=lambda p: p.__name__)
def test_simulated_paths_have_the_closed_form_marginal(process):
    """Euler-Maruyama from the data forwards, 4000 paths: mean and std within 5 standard errors plus the step's bias.

    The times are geometric, since VE and EDM spend most of their noise late; the step's bias is bounded by comparing
    with half the steps. A process starts where it says it does: VE's paths begin with noise sigma_min.
    """
    sde = process() if process is not DDPM else DDPM.from_process(VP(), 100)
    n, begin = 4000, max(sde.t_min, 1e-3 * sde.horizon)
    generator = torch.Generator().manual_seed(11)
    x0 = torch.full((n, 1), 0.8, dtype=torch.float64)
    noise = torch.randn(n, 1, generator=generator, dtype=torch.float64)
    x = sde.kernel(begin).perturb(x0, noise)
    end = 0.9 * sde.horizon
    path = FreshIncrements.like(x, seed=3, start=begin, stop=end)
    x = FixedGrid(EulerMaruyama(), 1000, geometric)(ItoSDE(sde.drift, sde.diffusion), x, begin, end, path)
    mean, std = sde.marginal(x0, end)
    bias = 0.02
    assert abs(x.mean().item() - mean[0].item()) < (5 / math.sqrt(n) + bias) * std.item()
    assert abs(x.std().item() / std.item() - 1) < 5 / math.sqrt(2 * n) + bias


def test_a_forward_path_of_ve_starts_with_noise():
    mean, std = VE(sigma_min=0.3).marginal(torch.ones(1, 1), 0.0)
    assert (mean.item(), std.item()) == (1.0, pytest.approx(0.3))


@each_process
@given(data=st.data(), mean=st.floats(-3, 3), variance=st.floats(0.1, 4))
def test_prior_has_the_first_two_moments_of_the_law_at_the_horizon(process, data, mean, variance):
    sde = data.draw(process)
    prior = sde.prior(mean, variance)
    kernel = sde.kernel(sde.horizon)
    assert prior.mean == pytest.approx(kernel.alpha * mean)
    assert prior.std**2 == pytest.approx(kernel.alpha**2 * variance + kernel.sigma**2)
    x = torch.linspace(-3, 3, 5, dtype=torch.float64).reshape(-1, 1)
    expected = torch.distributions.Normal(*torch.tensor([prior.mean, prior.std], dtype=x.dtype)).log_prob(x).sum(1)
    torch.testing.assert_close(prior.log_prob(x), expected)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda s: s.marginal(torch.ones(2, 1), 1.5), "is defined for 0 <= t <= 1, got t = 1.5"),
        (lambda s: s.marginal(torch.ones(2, 1), -0.1), "got t = -0.1"),
        (lambda s: s.marginal(torch.ones(2, 1), torch.tensor([0.5, 2.0])), "got t = 2"),
        (lambda s: s.marginal(torch.ones(2, 1), torch.tensor([0.5, 0.5, 0.5])), "one time per sample"),
        (lambda s: s.marginal(torch.full((2, 1), float("nan")), 0.5), "NaN"),
        (lambda s: s.transition(0.3, 0.5), "exchange them"),
        (lambda s: s.marginal(torch.tensor(1.0), 0.5), "batch axis"),
    ],
)
def test_bad_input_is_refused_in_a_sentence(call, says):
    with pytest.raises(ValueError, match=says):
        call(VP())


def test_integer_data_is_refused():
    with pytest.raises(TypeError, match=r"convert it with \.float"):
        VP().marginal(torch.ones(2, 1, dtype=torch.long), 0.5)


@pytest.mark.parametrize(
    "make", [lambda: VP(beta_min=-1), lambda: VE(2.0, 1.0), lambda: Cosine(1.0), lambda: Rectified(1.0),
             lambda: EDM(0.001), lambda: Brownian(-1.0), lambda: DDPM((0.1, 1.2))],
)  # fmt: skip
def test_impossible_parameters_are_refused(make):
    with pytest.raises(ValueError, match="need"):
        make()


def test_the_abstract_process_asks_for_its_equation():
    with pytest.raises(TypeError):
        SDE()  # pyright: ignore[reportAbstractUsage]
