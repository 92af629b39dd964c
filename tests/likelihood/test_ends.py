"""What log_likelihood adds at the two ends of the flow, and that its interval holds whatever prior the process starts from."""

from __future__ import annotations

import math

import pytest
import torch

from benchmarks.likelihood_coverage import SIZES, WAYS, fresh_mixture, measured
from sde_diffusion.denoisers import Conditioned, Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian, Mixture, prior_mismatch
from sde_diffusion.exact.problems import mixture64, two
from sde_diffusion.kernel import Kernel
from sde_diffusion.likelihood import log_likelihood
from sde_diffusion.likelihood.ends import Ends
from sde_diffusion.model import DiffusionModel
from sde_diffusion.sde import EDM, VP, Brownian
from sde_diffusion.standardization import Standardization
from solvers.divergence import ExactTrace
from tests.likelihood.laws import end, rng, wide

SKEW = Mixture([0.2, 0.8], [[3.0, 0.0], [-1.0, 1.0]], 0.3)


def ends(law, sde, share: float = 1e-9) -> Ends:
    return Ends(sde, ExactDenoiser(law), share, 0)


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=["VP", "EDM"])
def test_the_law_at_the_horizon_is_read_off_the_denoiser(sde):
    x = end(SKEW, sde).sample(200, rng(1))
    found = ends(SKEW, sde).horizon(x, torch.arange(200))
    error = (found.value - end(SKEW, sde).log_prob(x)).abs()
    assert error.max() < 1e-6
    assert (sde.prior().log_prob(x) - end(SKEW, sde).log_prob(x)).abs().max() > 1e-3, "the process's own prior would do"


def test_a_gaussian_is_read_exactly_however_little_is_forgotten():
    law, sde = Gaussian([2.0, -1.0], [[3.0, 1.0], [1.0, 2.0]]), Brownian(horizon=4.0)
    x = end(law, sde).sample(20, rng(2))
    found = ends(law, sde).horizon(x, torch.arange(20))
    exact = end(law, sde).log_prob(x)
    assert (found.value - exact).abs().max() < 0.2  # the mean is read at the wrong place: see the error
    assert ((found.value - exact).abs() <= 3 * found.error).all()


def test_many_coordinates_are_read_by_probes_within_their_error():
    law, sde = wide(), EDM()
    x = end(law, sde).sample(50, rng(3))
    found = ends(law, sde).horizon(x, torch.arange(50))
    error = found.value - end(law, sde).log_prob(x)
    assert error.abs().max() < 4 * found.error.max()
    assert found.error.max() < 0.02


def test_the_truncation_is_of_second_order_where_it_matters():
    """A Gaussian of variance v: log p_0 - log p_{t_min} in closed form, and the order in kappa^2/v."""
    law, sde = Gaussian.isotropic(0.0, 0.1, (2,)), VP()
    x, numbers = law.sample(50, rng(4)), torch.arange(50)
    kappa = math.exp(-0.5 * sde.log_snr(sde.t_min))
    exact = law.log_prob(x) - law.through(Kernel(1.0, kappa)).log_prob(x)
    first = ends(law, sde, share=1e9).truncation(x, numbers, ExactTrace())
    second = ends(law, sde).truncation(x, numbers, ExactTrace())
    assert (second.value - exact).abs().max() < 0.05 * (first.value - exact).abs().max()
    assert ((second.value - exact).abs() <= second.error).all()
    assert (second.calls == 2 * first.calls).all()


def test_the_value_is_the_laws_whatever_the_prior():
    sde, x = EDM(), SKEW.sample(8, rng(5))
    own = sde.prior(torch.tensor([-0.2, 0.8]), 2.0)
    found = [log_likelihood(sde, ExactDenoiser(SKEW), x, prior=prior) for prior in (None, own, end(SKEW, sde))]
    for one in found:
        torch.testing.assert_close(one.value, found[0].value, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.standard_error, found[0].standard_error, rtol=0.1, atol=1e-6)
    assert (found[0].without("prior").value - found[0].value).abs().max() > 10 * found[0].standard_error.min()
    assert found[2].terms["prior"].abs().max() < 1e-6


def test_the_mean_of_the_term_is_the_divergence_of_the_prior():
    """KL(p_T || prior), by `prior_mismatch` from the exact law and by the term over the law's own points."""
    sde, law = VP(beta_max=4.0), SKEW
    x = law.sample(400, rng(6))
    term = log_likelihood(sde, ExactDenoiser(law), x, 0.1, block=400).terms["prior"]
    with pytest.warns(UserWarning, match="nats from the law"):
        found = prior_mismatch(law, sde)
    assert abs(term.mean().item() - found.kl) < 4 * math.hypot(found.error, term.std().item() / 20)


def test_without_takes_the_error_along():
    found = log_likelihood(VP(), ExactDenoiser(two()), two().sample(4, rng(7)), 0.1)
    less = found.without("prior", "truncation")
    assert set(less.errors) == {"probes", "tolerance"}
    torch.testing.assert_close(less.value + found.terms["prior"] + found.terms["truncation"], found.value)
    with pytest.raises(KeyError):
        found.without("tolerance")


class OfClass(Denoiser):
    """Another law for each label."""

    def __init__(self, laws):
        super().__init__()
        self.laws = laws

    def forward(self, x_t, kernel, label):
        rows = torch.stack([law.denoise(x_t, kernel) for law in self.laws])
        return rows[label, torch.arange(len(x_t))]


def test_every_row_has_its_own_horizon():
    laws = [SKEW, two()]
    x = torch.cat([law.sample(2, rng(8)) for law in laws])
    found = log_likelihood(EDM(), Conditioned(OfClass(laws), label=torch.tensor([0, 0, 1, 1])), x, 0.02)
    exact = torch.cat([law.log_prob(own) for law, own in zip(laws, x.split(2), strict=True)])
    torch.testing.assert_close(found.value, exact, rtol=0, atol=5e-3)


def test_a_model_knows_the_density_of_its_data():
    """DiffusionModel.log_prob in float32 and standardised coordinates."""
    shift, scale = torch.tensor([5.0, -3.0]).double(), torch.tensor([2.0, 0.5]).double()
    model = DiffusionModel(EDM(), ExactDenoiser(two()), (2,), Standardization(shift, scale))
    z = two().sample(16, rng(9))
    found = model.log_prob(z * scale + shift)
    error = found.value - (two().log_prob(z) - scale.log().sum())
    assert (error.abs() < 4 * found.standard_error).all()
    assert found.standard_error.max() < 2e-3


@pytest.mark.parametrize(("law", "calls"), [(two(), 40), (mixture64(), 150)], ids=["two", "mixture64"])
def test_a_loose_tolerance_is_cheap(law, calls):
    x = law.sample(8, rng(10))
    found = log_likelihood(VP(), ExactDenoiser(law), x, 0.1)
    assert found.terms["calls"].mean() <= calls
    assert ((found.value - law.log_prob(x)).abs() < 4 * found.standard_error).all()
    assert found.standard_error.max() < 0.1 * math.log(2) * x[0].numel()


def coverage(size, sde, way, seed, laws, points) -> float:
    return measured(size, sde, way, seed, laws, points).held.mean().item()


@pytest.mark.parametrize("sde", [VP(), EDM()], ids=["VP", "EDM"])
def test_the_interval_holds_on_mixtures(sde):
    """Of 96 points on six mixtures, by the defaults: at least 90 of 100, and not because it is wide."""
    cell = measured(2, sde, "python", 7, 6, 16)
    assert cell.held.mean() > 0.9
    assert cell.without.mean() < cell.held.mean() - 0.1
    assert cell.stated.median() < 30 * cell.error.abs().median()


@pytest.mark.slow
@pytest.mark.parametrize(("size", "way"), [*((2, way) for way in WAYS), (8, "model")])
def test_the_interval_holds_by_every_way(size, way):
    assert 0.93 <= coverage(size, EDM(), way, 8, SIZES[size][0], 8) <= 1.0


@pytest.mark.slow
def test_the_interval_holds_in_64_dimensions():
    assert coverage(64, VP(), "command", 9, 4, 6) > 0.87


def test_fresh_mixtures_are_functions_of_their_seed():
    assert torch.equal(fresh_mixture(3, 5).centres, fresh_mixture(3, 5).centres)
    assert not torch.equal(fresh_mixture(3, 5).weights, fresh_mixture(3, 7).weights[:1])
