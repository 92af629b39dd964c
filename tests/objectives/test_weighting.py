"""Every weighting is an identity between two losses, and every time distribution is a change of variables."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.objectives import (
    P2,
    EDMWeighting,
    LogitNormal,
    LogNormalLevel,
    MinSNR,
    OverLogSNR,
    Sigmoid,
    flow,
    likelihood,
    simple,
    uniform_log_snr,
    uniform_time,
)
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.plugins import implementations
from sde_diffusion.sde import LinearSDE, Rectified

PROCESSES = [cls() for cls in implementations("sde_diffusion.sde", LinearSDE).values()]
every_process = pytest.mark.parametrize("sde", PROCESSES, ids=lambda sde: type(sde).__name__)
DISTRIBUTIONS = {
    "uniform_time": uniform_time,
    "uniform_log_snr": uniform_log_snr,
    "edm": LogNormalLevel(),
    "esser": LogitNormal(0.5, 2.0),
    "wide": LogNormalLevel(mean=1.0, std=4.0),
}


def guess(sde):
    """Five times, their channels, data, noise, what is seen of them, and any answer to the question what the data were.

    The times are even in the log-SNR, so that every process shows little noise and much.
    """
    first, last = sde.log_snr(sde.t_min), sde.log_snr(sde.horizon)
    t = sde.time(first + (last - first) * torch.tensor([0.02, 0.2, 0.5, 0.8, 0.98], dtype=torch.float64))
    x0, noise, answer = torch.randn(3, 5, 6, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    kernel = sde.kernel(t)
    return t, kernel, x0, noise, kernel.perturb(x0, noise), answer


def square(x):
    return x.square().sum(1)


@every_process
def test_simple_is_the_error_of_the_noise(sde):
    """w |x0_hat - x0|^2 = |eps_hat - eps|^2, whatever the answer."""
    t, kernel, x0, noise, x_t, answer = guess(sde)
    torch.testing.assert_close(simple(sde, t) * square(answer - x0), square(kernel.noise(x_t, answer) - noise))


@every_process
def test_likelihood_is_the_error_of_the_score_times_g_squared(sde):
    """w |x0_hat - x0|^2 = g^2 |s_hat - s|^2, the integrand of the bound, with s = -eps/sigma the conditional score."""
    t, kernel, x0, noise, x_t, answer = guess(sde)
    s = -noise / kernel.sigma[:, None]
    expected = sde.g(t) ** 2 * square(kernel.score(x_t, answer) - s)
    torch.testing.assert_close(likelihood(sde, t) * square(answer - x0), expected)


@every_process
@pytest.mark.parametrize("data_std", [0.5, 1.7])
def test_edm_is_the_error_of_the_networks_own_output(sde, data_std):
    """w |x0_hat - x0|^2 = |raw - target|^2 in EDM's preconditioning: every level has the same weight."""
    t, kernel, x0, noise, x_t, raw = guess(sde)
    meaning = EDMPreconditioning(data_std=data_std)
    error = meaning.to_denoised(raw, x_t, kernel) - x0
    expected = square(raw - meaning.target(x0, noise, kernel))
    torch.testing.assert_close(EDMWeighting(data_std)(sde, t) * square(error), expected, rtol=1e-6, atol=0)


@every_process
def test_min_snr_is_the_smaller_of_two_losses(sde):
    """The error of the noise where there is little signal, gamma times the error of the data where there is much."""
    t, kernel, x0, noise, x_t, answer = guess(sde)
    of_noise, of_data = square(kernel.noise(x_t, answer) - noise), 5.0 * square(answer - x0)
    torch.testing.assert_close(MinSNR(5.0)(sde, t) * square(answer - x0), torch.minimum(of_noise, of_data))
    assert (of_noise < of_data).any()
    assert (of_noise > of_data).any()


@every_process
def test_flow_is_the_error_of_the_velocity(sde):
    """w |x0_hat - x0|^2 = |u_hat - u|^2 with u = eps - x0."""
    t, kernel, x0, noise, x_t, answer = guess(sde)
    torch.testing.assert_close(flow(sde, t) * square(answer - x0), square(kernel.flow(x_t, answer) - (noise - x0)))


def test_flow_is_the_weight_of_diffusers():
    """On the process of rectified flow: their training script weighs the error of x0 by sigma^-2."""
    weights = pytest.importorskip("diffusers.training_utils").compute_loss_weighting_for_sd3
    t = torch.linspace(0.01, 0.99, 7, dtype=torch.float64)
    found = flow(Rectified(), t).float()
    torch.testing.assert_close(found, weights("sigma_sqrt", Rectified().sigma(t)), rtol=1e-6, atol=0)


@every_process
@pytest.mark.parametrize(("gamma", "k"), [(1.0, 1.0), (0.5, 3.0)])
def test_p2_is_the_error_of_the_noise_less_where_the_snr_is_high(sde, gamma, k):
    """w |x0_hat - x0|^2 = |eps_hat - eps|^2/(k + snr)^gamma, with snr = alpha^2/sigma^2."""
    t, kernel, x0, noise, x_t, answer = guess(sde)
    expected = square(kernel.noise(x_t, answer) - noise) / (k + (kernel.alpha / kernel.sigma) ** 2) ** gamma
    torch.testing.assert_close(P2(gamma, k)(sde, t) * square(answer - x0), expected, rtol=1e-6, atol=0)


@every_process
@pytest.mark.parametrize("bias", [-3.0, 0.0, 2.0])
def test_sigmoid_is_the_error_of_the_noise_times_the_sigmoid(sde, bias):
    """w |x0_hat - x0|^2 = |eps_hat - eps|^2/(1 + e^{log snr - bias}), Kingma & Gao's sigmoid(-log snr + k)."""
    t, kernel, x0, noise, x_t, answer = guess(sde)
    expected = square(kernel.noise(x_t, answer) - noise) / (1 + (kernel.alpha / kernel.sigma) ** 2 * math.exp(-bias))
    torch.testing.assert_close(Sigmoid(bias)(sde, t) * square(answer - x0), expected, rtol=1e-6, atol=0)


@every_process
@pytest.mark.parametrize("weighting", [simple, Sigmoid(-1.0), P2()], ids=["simple", "sigmoid", "p2"])
def test_a_loss_over_log_snr_is_the_same_over_uniform_times(sde, weighting):
    """w |dl/dt| dt = w dl on every small piece of the times, l by differences and not by its derivative."""
    t = uniform_time(sde, torch.linspace(0.05, 0.95, 9, dtype=torch.float64))
    h = 1e-4 * sde.horizon / sde.steps if hasattr(sde, "steps") else 1e-4 * (sde.horizon - sde.t_min)
    slope = (torch.as_tensor(sde.log_snr(t - h)) - torch.as_tensor(sde.log_snr(t + h))) / (2 * h)
    torch.testing.assert_close(OverLogSNR(weighting)(sde, t), slope * weighting(sde, t), rtol=1e-4, atol=0)


def test_times_are_the_quantiles_of_diffusers():
    """Their logit-normal draws t, and ours at u = Phi((logit t - mean)/std), are the same numbers on an uncut process."""
    draw = pytest.importorskip("diffusers.training_utils").compute_density_for_timestep_sampling
    sde, mean, std = Rectified(1 - 1e-9, 1e-9), 0.3, 1.2
    t = draw("logit_normal", 200, mean, std, generator=torch.Generator().manual_seed(0)).double()
    u = torch.special.ndtr((t.logit() - mean) / std)
    torch.testing.assert_close(LogitNormal(mean, std)(sde, u), t, rtol=0, atol=1e-6)


def test_logit_normal_times_have_the_density_of_the_paper():
    """The share of times below each t is the integral of equation (19) of Esser et al., on the process cut to its range."""
    sde = Rectified()
    u = torch.tensor([0.1, 0.4, 0.6, 0.97], dtype=torch.float64)
    t = LogitNormal(-0.5, 0.8)(sde, u)
    grid = torch.linspace(sde.t_min, sde.horizon, 200_001, dtype=torch.float64)
    density = torch.exp(-((grid.logit() + 0.5) ** 2) / (2 * 0.8**2)) / (grid * (1 - grid))
    mass = torch.cumulative_trapezoid(density, grid)
    torch.testing.assert_close(mass[torch.searchsorted(grid, t) - 1] / mass[-1], u, rtol=0, atol=1e-4)


@every_process
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_times_rise_from_the_first_to_the_last(sde, name):
    """A share u of the times lies below t(u): monotone, from t_min at u = 0 to the horizon at u = 1, never outside."""
    t = DISTRIBUTIONS[name](sde, torch.linspace(0, 1, 101, dtype=torch.float64))
    assert t.dtype == torch.float64
    assert ((t >= sde.t_min) & (t <= sde.horizon)).all()
    assert (t.diff() >= 0).all()
    assert t[0].item() == pytest.approx(sde.t_min, rel=1e-3, abs=1e-6 * sde.horizon)
    assert t[-1].item() == pytest.approx(sde.horizon, rel=1e-3)


@every_process
def test_uniform_means_uniform(sde):
    """t, or the log-SNR, is an affine function of u."""
    u = torch.linspace(0, 1, 12, dtype=torch.float64)[1:-1]
    for values in (uniform_time(sde, u), sde.log_snr(uniform_log_snr(sde, u))):
        torch.testing.assert_close(values.diff(), values.diff().mean().expand(9), rtol=1e-6, atol=1e-9)


@every_process
@pytest.mark.parametrize("level", [LogNormalLevel(), LogNormalLevel(mean=0.5, std=3.0)], ids=["edm", "cut"])
def test_levels_are_normal_within_the_range(sde, level):
    """Mean and variance of log(sigma/alpha) are those of the normal law cut to the process's range, in closed form."""
    u = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    found = -0.5 * sde.log_snr(level(sde, u))
    a, b = ((-0.5 * float(sde.log_snr(t)) - level.mean) / level.std for t in (sde.t_min, sde.horizon))
    mass = (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2
    first = (_density(a) - _density(b)) / mass
    second = 1 + (a * _density(a) - b * _density(b)) / mass - first**2
    assert found.mean().item() == pytest.approx(level.mean + level.std * first, abs=2e-3 * level.std)
    assert found.var().item() == pytest.approx(level.std**2 * second, rel=5e-3)


def _density(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
