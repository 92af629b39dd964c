"""A model that writes into its input is refused, in one sentence: by every form, in training and in likelihoods."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sde_diffusion.denoisers import Conditioned, Denoiser, EnergyDenoiser, Preconditioned
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.likelihood import Chain, elbo, log_likelihood
from sde_diffusion.objectives import (
    ContinuousBound,
    DenoisingScoreMatching,
    Dequantised,
    Hybrid,
    LocalDenoising,
)
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.reversal import data_form, edm_churn, noise_form, probability_flow, reverse_sde, velocity_form
from sde_diffusion.sampling import default_solver, sample
from sde_diffusion.sde import EDM, VP
from sde_diffusion.testing import check_denoiser
from sde_diffusion.training import TrainSettings, fit
from solvers import EulerMaruyama, ExponentialEuler, FixedGrid, Heun
from solvers.methods.churn import Churn
from solvers.parallel import Picard

FORMS = {
    "probability_flow": (probability_flow, Heun()), "velocity_form": (velocity_form, Heun()),
    "data_form": (data_form, ExponentialEuler()), "noise_form": (noise_form, ExponentialEuler()),
    "reverse_sde": (reverse_sde, EulerMaruyama()), "edm_churn": (edm_churn, Churn()),
}  # fmt: skip
DATA = torch.randn(16, 2, generator=torch.Generator().manual_seed(0))
REFUSED = "writes into its input"


class Writes(Denoiser):
    """Half of x, and x itself is changed: on the way, or by the operation that gives the answer."""

    def __init__(self, late: bool = False, state: bool = True) -> None:
        super().__init__()
        self.weight, self.late, self.state = nn.Parameter(torch.ones(())), late, state

    def forward(self, x_t, kernel, **condition):
        if self.state and (not self.late or kernel.sigma < 0.5):
            x_t.mul_(0.5)
        for value in condition.values():
            value.add_(1)
        return x_t.clone() * self.weight


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_refuses_it(form, mode):
    made, method = FORMS[form]
    with mode(), pytest.raises(ValueError, match=f"Writes {REFUSED}.*x.clone"):
        sample(made(VP(), Writes()), FixedGrid(method, 3), (4, 2))


def test_a_write_at_some_levels_alone_is_seen():
    with pytest.raises(ValueError, match=REFUSED):
        sample(probability_flow(VP(), Writes(late=True)), FixedGrid(Heun(), 5), (4, 2))


def test_a_function_is_looked_at_too():
    with pytest.raises(ValueError, match=f"shrunk {REFUSED}"):
        sample(probability_flow(VP(), shrunk), FixedGrid(Heun(), 2), (4, 2))


def shrunk(x, kernel):
    return x.mul_(0.5)


def test_the_default_rule_and_parallel_solvers_refuse_it():
    with pytest.raises(ValueError, match=REFUSED):
        sample(*default_solver(VP(), Writes(), 4), (4, 2))
    with pytest.raises(ValueError, match=REFUSED):
        sample(probability_flow(VP(), Writes()), Picard(Heun(), 3), (4, 2))


def test_a_write_into_a_condition_is_refused():
    """Labels that move from call to call would be those of other classes."""
    with pytest.raises(ValueError, match=REFUSED):
        sample(
            probability_flow(VP(), Conditioned(Writes(state=False), label=torch.arange(4))),
            FixedGrid(Heun(), 2),
            (4, 2),
        )


class Plain(nn.Module):
    """A network that takes a kernel and is no `Denoiser`."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Writes()

    def forward(self, x_t, kernel, **condition):
        return Writes.forward(self.inner, x_t, kernel, **condition)  # pyright: ignore


class WritesLevel(Denoiser):
    """The noise level is scaled as a network's time is, in place; the loss goes on with it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.weight, self.name = nn.Parameter(torch.ones(())), name

    def forward(self, x_t, kernel, **condition):
        getattr(kernel, self.name).mul_(0.5)
        return x_t * self.weight


COMPILED = pytest.mark.global_rng  # the compiler draws, and puts the generator back
MODELS = {"a Denoiser": Writes, "a module": Plain, "compiled": lambda: torch.compile(Writes(), backend="eager")}
OBJECTIVES = [DenoisingScoreMatching(), LocalDenoising(), ContinuousBound(), Dequantised()]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda objective: type(objective).__name__)
@pytest.mark.parametrize("model", [pytest.param(name, marks=COMPILED if name == "compiled" else ()) for name in MODELS])
def test_training_refuses_it(model, objective):
    with pytest.raises(ValueError, match=REFUSED):
        fit(MODELS[model](), VP(), DATA, TrainSettings(steps=2, batch_size=4), objective=objective, device="cpu")


def test_the_loss_of_learned_variances_refuses_it():
    with pytest.raises(ValueError, match=REFUSED):
        Hybrid(steps=10)(LearnsVariance(), VP(), DATA, torch.Generator())  # pyright: ignore


class LearnsVariance(Plain):
    """As much of a `LearnedVariance` as the loss asks for."""

    def log_excess(self, sde, x_t, t, s):
        return torch.zeros_like(x_t)


@pytest.mark.parametrize("compiled", [False, pytest.param(True, marks=COMPILED)])
@pytest.mark.parametrize(("sde", "name"), [(VP(), "sigma"), (VP(), "alpha"), (EDM(), "sigma")])
def test_training_refuses_a_write_into_the_level(sde, name, compiled):
    """EDM's sigma is the time itself, of which the weighting is a function."""
    model = torch.compile(WritesLevel(name), backend="eager") if compiled else WritesLevel(name)
    with pytest.raises(ValueError, match=REFUSED):
        fit(model, sde, DATA, TrainSettings(steps=2, batch_size=4), device="cpu")  # pyright: ignore


def test_a_level_for_each_sample_is_looked_at_in_sampling_too():
    level = VP().kernel(torch.full((4,), 0.5, dtype=torch.float64))
    with pytest.raises(ValueError, match=REFUSED):
        WritesLevel("sigma")(DATA[:4].clone(), level)
    with torch.inference_mode():  # tensors of this mode have no count: no look, and no error of its own
        WritesLevel("sigma")(torch.ones(4, 2), VP().kernel(torch.full((4,), 0.5, dtype=torch.float64)))


def test_likelihoods_refuse_it():
    x = DATA[:3]
    with pytest.raises(ValueError, match=REFUSED):
        log_likelihood(VP(), Writes(), x, 0.1)
    with torch.no_grad(), pytest.raises(ValueError, match=REFUSED):
        elbo(Chain(VP(), Writes(), 2), x, draws=2, generator=torch.Generator())


class InPlaceNetwork(nn.Module):
    """A network whose first layer works in place, as many do: its input is the denoiser's own."""

    def forward(self, x, level, **condition):
        return x.mul_(0.5)


def test_a_network_may_write_into_what_the_denoiser_made_for_it():
    """The answer is that of the network that does not; where its input is used again, it is refused."""
    inner = InPlaceNetwork()
    x = sample(probability_flow(VP(), Preconditioned(inner, EDMPreconditioning())), FixedGrid(Heun(), 3), (4, 2))
    inner.forward = lambda x, level, **condition: 0.5 * x  # pyright: ignore
    assert torch.equal(
        x, sample(probability_flow(VP(), Preconditioned(inner, EDMPreconditioning())), FixedGrid(Heun(), 3), (4, 2))
    )
    with pytest.raises(ValueError, match=REFUSED):
        EnergyDenoiser(InPlaceNetwork(), EDMPreconditioning())(DATA[:3].clone(), VP().kernel(0.5))


def test_the_kit_names_it():
    report = check_denoiser(Writes(), event_shape=(2,))
    assert not report.ok
    assert REFUSED in str(report)


def test_a_model_that_writes_nothing_is_asked_once_for_each_answer():
    """The look costs no call: as many as the method makes."""
    calls = []

    class Counted(ExactDenoiser):
        def forward(self, x_t, kernel, **condition):
            calls.append(1)
            return super().forward(x_t, kernel, **condition)

    law = Gaussian(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    sample(probability_flow(VP(), Counted(law)).without_final_denoise(), FixedGrid(Heun(), 3), (4, 2))
    assert len(calls) == 6
