"""Arguments of the wrong kind, exchanged, or from another place: one sentence that says what to write instead."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sde_diffusion.denoisers import Denoiser, Preconditioned
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.likelihood.exact import log_likelihood
from sde_diffusion.networks import TimeMLP
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import annealed_langevin, data_form, predictor_corrector, probability_flow, reverse_sde
from sde_diffusion.sampling import sample
from sde_diffusion.sde import SDE, VP, Rectified
from sde_diffusion.sde.cosine import Cosine
from solvers import Ancestral, EulerMaruyama, FixedGrid, Heun
from solvers.parallel import Picard

DENOISER = ExactDenoiser(Gaussian.isotropic(0.0, 1.0, (2,)))


class DoubleWell(SDE):
    horizon, t_min = 1.0, 0.0

    def drift(self, x, t):
        return x - x**3

    def diffusion(self, t):
        return 1.0


MISTAKES = {
    "exchanged": (
        lambda: data_form(DENOISER, VP()),
        r"process first, then the denoiser.* write data_form\(sde, denoiser\)",
    ),
    "preconditioning": (
        lambda: data_form(EDMPreconditioning(), DENOISER),
        r"got EDMPreconditioning; write data_form\(VP\(\), denoiser\) .*sde_diffusion.sde.EDM\(\)",
    ),
    "bare network": (
        lambda: data_form(VP(), TimeMLP(2)),
        r"got the network TimeMLP; write Preconditioned\(network, EDM",
    ),
    "missing": (lambda: data_form(VP()), r"missing a required argument: 'denoiser'; write data_form\(sde, denoiser\)"),
    "no denoiser": (lambda: probability_flow(VP(), 3), r"needs a denoiser, got int; pass Preconditioned"),
    "nonlinear, data form": (
        lambda: data_form(DoubleWell(), DENOISER),
        r"needs a LinearSDE.*got DoubleWell; take reverse_sde",
    ),
    "nonlinear, langevin": (lambda: annealed_langevin(DoubleWell(), DENOISER), r"needs a LinearSDE.*got DoubleWell"),
    "corrector": (
        lambda: predictor_corrector(VP(), DENOISER, VP()),
        r"takes a reversal first, got VP; write predictor",
    ),
    "likelihood, exchanged": (
        lambda: log_likelihood(DENOISER, VP(), torch.zeros(2, 2)),
        r"process first.* write log_likelihood\(sde, denoiser\)",
    ),
    "likelihood, one point": (
        lambda: log_likelihood(VP(), DENOISER, torch.zeros(2)),
        r"x has shape \(B, \*E\), got \(2,\); add the batch axis with x\[None\]",
    ),
    "grid, exchanged": (
        lambda: FixedGrid(20, Heun()),
        r"method first, then the steps; write FixedGrid\(Heun\(\), 20\)",
    ),
    "picard, exchanged": (lambda: Picard(20, Heun()), r"method first, then the steps; write Picard\(Heun\(\), 20\)"),
    "grid, a class": (lambda: FixedGrid(Heun, 20), r"FixedGrid needs a method.*pass an instance such as Heun\(\)"),
    "grid, half a step": (lambda: FixedGrid(Heun(), 2.5), r"a whole number of steps, got 2.5; write FixedGrid\(Heun"),
    "grid, no step": (lambda: FixedGrid(Heun(), 0), r"at least one step, got 0"),
    "kernel before the start": (lambda: VP().kernel(-1.0), r"VP is defined for 0 <= t <= 1, got t = -1"),
    "sample, no reversal": (
        lambda: sample(DENOISER, FixedGrid(Heun(), 2), (4, 2)),
        r"takes a reversal first, got ExactD",
    ),
    "sample, no solver": (
        lambda: sample(probability_flow(VP(), DENOISER), 20, (4, 2)),
        r"takes a solver second, got int",
    ),
    "sample, a number": (
        lambda: sample(probability_flow(VP(), DENOISER), FixedGrid(Heun(), 2), 4),
        r"shape is \(N, \*E\), .* got 4; write \(16, 2\)",
    ),
    "another equation": (
        lambda: sample(reverse_sde(VP(), DENOISER), FixedGrid(Heun(), 2), (4, 2)),
        r"Heun integrates ODE, got ItoSDE; choose EulerMaruyama\(\)",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_gets_one_sentence(name):
    mistake, message = MISTAKES[name]
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        mistake()
    assert "\n" not in str(caught.value)


class Answers(Denoiser):
    """What it returns is x0_hat of a wrong kind."""

    def __init__(self, change):
        super().__init__()
        self.change = change

    def forward(self, x_t, kernel, **condition):
        return self.change(0.5 * x_t)


@pytest.mark.parametrize(("make", "method"), [(probability_flow, Heun()), (reverse_sde, EulerMaruyama())])
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda x: x[:, :1], ValueError, r"Answers returned the shape \(4, 1\) for states of shape \(4, 2\)"),
        (lambda x: x[:1], ValueError, r"the shape \(1, 2\)"),
        (lambda x: x.long(), TypeError, r"returned torch.int64 for states of torch.float32"),
        (lambda x: x.to(torch.complex64), TypeError, r"returned torch.complex64"),
        (lambda x: x.double(), TypeError, r"returned torch.float64"),
        (lambda x: x.to("meta"), ValueError, r"returned a tensor on meta for states on cpu"),
    ],
)
def test_the_model_s_answer_is_like_the_state(make, method, change, error, message):
    with pytest.raises(error, match=message):
        sample(make(VP(), Answers(change)), FixedGrid(method, 2), (4, 2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("own", [torch.float32, torch.float64])
def test_a_network_gets_its_own_dtype_and_the_samples_have_theirs(dtype, own):
    """float64 samples of a float32 network, and the other way round; the same samples to single precision."""
    network = Preconditioned(TimeMLP(2).to(own), EDMPreconditioning()).eval()
    x = sample(probability_flow(VP(), network), FixedGrid(Heun(), 4), (4, 2), dtype=dtype)
    same = sample(probability_flow(VP(), network.float()), FixedGrid(Heun(), 4), (4, 2))
    assert x.dtype == dtype
    torch.testing.assert_close(x.float(), same, rtol=1e-4, atol=1e-4)


class OfTimes(nn.Module):
    """A user's own network: forward(x, t) with t of shape (B,)."""

    def forward(self, x, t):
        return x * t[:, None].cos()


@pytest.mark.parametrize(
    ("make", "method"), [(probability_flow, Heun()), (data_form, None), (reverse_sde, EulerMaruyama())]
)
def test_a_network_is_called_with_times_of_the_batch(make, method):
    from solvers import ExponentialAdams

    reversal = make(VP(), Preconditioned(OfTimes(), EDMPreconditioning()))
    assert sample(reversal, FixedGrid(method or ExponentialAdams(2), 3), (5, 2)).shape == (5, 2)


@pytest.mark.parametrize("sde", [VP(), Cosine(), Rectified(), VP(horizon=0.7), VP(horizon=0.1)], ids=repr)
def test_the_horizon_in_single_precision_is_inside(sde):
    """float32(0.999) is above 0.999 by half a unit in its last place; more than a unit is outside in any dtype."""
    x = torch.zeros(4, 2)
    sde.marginal(x, torch.full((4,), sde.horizon))
    sde.marginal(x, torch.full((4,), 2.0).clamp(max=sde.horizon))
    for dtype, more in ((torch.float32, 3e-7), (torch.float64, 1e-12)):
        with pytest.raises(ValueError, match=r"is defined for 0 <= t <="):
            sde.check_time(torch.full((4,), sde.horizon * (1 + more), dtype=dtype))


def test_a_chain_is_one_of_the_forms_too():
    from sde_diffusion.reversal import ancestral

    with pytest.raises(TypeError, match=r"ancestral takes the process first"):
        ancestral(DENOISER, VP())
    assert sample(ancestral(VP(), DENOISER), FixedGrid(Ancestral(), 3), (2, 2)).shape == (2, 2)
