"""Samples with conditions of their own: each row is what it would be if the whole batch had its condition."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from sde_diffusion.denoisers import CallCounter, Conditioned, Denoiser
from sde_diffusion.exact import ExactDenoiser, Gaussian
from sde_diffusion.likelihood.bounds import elbo
from sde_diffusion.likelihood.exact import log_likelihood
from sde_diffusion.likelihood.paths import Chain
from sde_diffusion.reversal import (
    ancestral,
    ancestral_large,
    annealed_langevin,
    data_form,
    data_form_eta,
    edm_churn,
    gaussian_form,
    noise_form,
    predictor_corrector,
    probability_flow,
    reverse_sde,
    sigma_form,
    velocity_form,
)
from sde_diffusion.reversal.scaled_velocity_form import scaled_velocity_form
from sde_diffusion.sampling import sample
from sde_diffusion.sde import VP
from solvers import (
    Ancestral,
    EulerMaruyama,
    ExponentialAdams,
    ExponentialEuler,
    FixedGrid,
    Heun,
    KeyedIncrements,
    WienerTree,
)
from solvers.adaptive import Adaptive
from solvers.adaptive_sde import AdaptiveSDE
from solvers.divergence import Hutchinson
from solvers.methods.churn import Churn
from solvers.methods.dopri5 import Dopri5
from solvers.methods.predictor_corrector import PredictorCorrector
from solvers.parallel import Picard

SDE, N = VP(), 300
LABELS = (torch.arange(N) % 3 == 0).long()  # of a period that no chunk is a multiple of


class Classes(Denoiser):
    """The exact denoiser of N(-1, 0.3^2 I) for label 0 and of N(1, 0.6^2 I) for label 1."""

    def __init__(self) -> None:
        super().__init__()
        self.laws = [ExactDenoiser(Gaussian.isotropic(m, s, (2,))) for m, s in ((-1.0, 0.3), (1.0, 0.6))]

    def forward(self, x_t, kernel, label: Tensor | None = None, **condition):
        assert label is not None, "a label is needed"
        assert label.shape == (len(x_t),), "one label for each row"
        zero, one = (law(x_t, kernel) for law in self.laws)
        return torch.where((label == 0).reshape(-1, *(1,) * (x_t.ndim - 1)), zero, one)


def conditioned(label) -> Conditioned:
    return Conditioned(Classes(), label=label)


FORMS = {
    "probability_flow": (probability_flow, Heun()),
    "sigma_form": (sigma_form, Heun()),
    "velocity_form": (velocity_form, Heun()),
    "scaled_velocity_form": (scaled_velocity_form, Heun()),
    "data_form": (data_form, ExponentialAdams(2)),
    "noise_form": (noise_form, ExponentialAdams(2)),
    "gaussian_form": (gaussian_form, ExponentialAdams(2)),
    "data_sde": (partial(data_form, eta=1.0), ExponentialEuler()),
    "data_form_eta": (data_form_eta, ExponentialEuler()),
    "reverse_sde": (reverse_sde, EulerMaruyama()),
    "ancestral": (ancestral, Ancestral()),
    "ancestral_large": (ancestral_large, Ancestral()),
    "edm_churn": (edm_churn, Churn()),
    "annealed_langevin": (annealed_langevin, EulerMaruyama()),
    "corrected": (
        lambda sde, d: predictor_corrector(reverse_sde(sde, d), sde, d),
        PredictorCorrector(EulerMaruyama(), snr=0.05),
    ),
}
SOLVERS = {
    **{name: (make, FixedGrid(method, 4)) for name, (make, method) in FORMS.items()},
    "adaptive": (probability_flow, Adaptive.tol(Dopri5(), 1e-2)),
    "adaptive, semilinear": (data_form, Adaptive.tol(Dopri5(), 1e-2)),
    "adaptive, stochastic": (reverse_sde, AdaptiveSDE.tol(0.1)),
}


def drawn(make, solver, label, **options) -> Tensor:
    return sample(make(SDE, conditioned(label)), solver, (N, 2), 3, dtype=torch.float64, **options)


@pytest.mark.parametrize("name", SOLVERS)
def test_labels_of_their_own_give_the_one_class_samples(name):
    """300 samples in chunks of 256, labels 1, 0, 0 in turn, against two runs of one class each: to 1e-12."""
    make, solver = SOLVERS[name]
    mixed, zeros, ones = (drawn(make, solver, label) for label in (LABELS, 0, 1))
    assert (zeros - ones).abs().mean() > 0.1
    torch.testing.assert_close(mixed, torch.where(LABELS[:, None] == 0, zeros, ones), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "options", [{"chunk": 128}, {"chunk": 512}, {"first": 77}, {"first": 300, "chunk": 256}], ids=str
)
def test_rows_follow_the_samples_whatever_the_chunks(options):
    """Row i of the condition is that of the i-th sample asked for, not of its place in a chunk."""
    mixed, zeros, ones = (drawn(data_form, FixedGrid(ExponentialAdams(2), 4), y, **options) for y in (LABELS, 0, 1))
    torch.testing.assert_close(mixed, torch.where(LABELS[:, None] == 0, zeros, ones), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "method"), [(probability_flow, Heun()), (reverse_sde, EulerMaruyama())], ids=["ode", "sde"]
)
def test_picard_iteration_repeats_the_rows(make, method):
    """Its batch is the window times the batch; the sequential samples are its fixed point."""
    options = {"noise": KeyedIncrements}
    one_by_one = drawn(make, FixedGrid(method, 12), LABELS, **options)
    at_once = drawn(make, Picard(method, 12, tol=1e-13, window=5), LABELS, **options)
    torch.testing.assert_close(at_once, one_by_one, rtol=0, atol=1e-10)


@pytest.mark.parametrize("divergence", [None, Hutchinson(4)], ids=["exact", "hutchinson"])
def test_likelihoods_with_labels_of_their_own(divergence):
    x = torch.randn(9, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    labels = LABELS[:9]

    def found(label):
        result = log_likelihood(SDE, conditioned(label), x, 0.05, divergence=divergence, block=4)
        return result.value, result.terms["truncation"]

    for mixed, zero, one in zip(found(labels), found(0), found(1), strict=True):
        assert (zero - one).abs().max() > 1e-3
        torch.testing.assert_close(mixed, torch.where(labels == 0, zero, one), rtol=0, atol=1e-12)


def test_bounds_with_labels_of_their_own():
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))

    def bound(label):
        return elbo(Chain(SDE, conditioned(label), 8), x, 3, torch.Generator().manual_seed(1)).value

    mixed = torch.where(LABELS[:6] == 0, bound(0), bound(1))
    torch.testing.assert_close(bound(LABELS[:6]), mixed, rtol=0, atol=1e-12)


def test_a_reversal_of_some_rows_solves_and_finishes_for_these():
    """`select` reaches the equation and the finish; a mask and its indices are the same rows."""
    reversal = sigma_form(SDE, conditioned(LABELS[:8]))
    x = torch.randn(8, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = LABELS[:8] == 1
    solver = FixedGrid(Heun(), 4)

    def end(some, x):
        return some.finish(some.solve(solver, x), some.stop)

    whole = end(reversal, x)
    for rows in (mask, mask.nonzero()[:, 0]):
        torch.testing.assert_close(end(reversal.select(rows), x[mask]), whole[mask], rtol=0, atol=1e-13)


def test_one_sample_costs_one_sample():
    """sample(1) shows the network as many rows as there are calls: one at a time; chunk= fills the batch up."""
    for chunk, rows in ((None, 8), (1, 8), (16, 8 * 16)):
        counter = CallCounter(ExactDenoiser(Gaussian.isotropic(0.0, 1.0, (2,))))
        reversal = probability_flow(SDE, counter).without_final_denoise()
        sample(reversal, FixedGrid(Heun(), 4), (1, 2), chunk=chunk)
        assert (counter.calls, counter.rows) == (8, rows)


def test_a_counter_counts_through_conditions_and_rows():
    """Wrapped inside or outside: all calls of all rows are in one record."""
    counter = CallCounter(conditioned(LABELS))
    sample(probability_flow(SDE, counter), FixedGrid(Heun(), 4), (N, 2))
    assert (counter.calls, counter.rows) == (2 * 9, 9 * N)


def test_initial_states_and_noise_do_not_depend_on_the_number_or_the_chunk():
    """A denoiser without a network: bit for bit, whatever the chunk."""
    reversal, solver = reverse_sde(SDE, Linear()), FixedGrid(EulerMaruyama(), 6)
    whole = sample(reversal, solver, (40, 2), 5)
    for options in ({"chunk": 7}, {"chunk": 64}, {"noise": KeyedIncrements}):
        assert torch.equal(sample(reversal, solver, (40, 2), 5, **options), whole)
    assert torch.equal(sample(reversal, solver, (1, 2), 5, first=33), whole[33:34])
    assert not torch.equal(sample(reversal, solver, (40, 2), 5, noise=WienerTree), whole)


class Linear(Denoiser):
    """A denoiser of multiplications only: bit-exact in any batch."""

    def forward(self, x_t, kernel, **condition):
        return 0.25 * x_t


def test_too_few_rows_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"'label' has 4 rows for at least 8 samples; give one row for each sample"):
        sample(data_form(SDE, conditioned(LABELS[:4])), FixedGrid(ExponentialAdams(2), 2), (8, 2))
    with pytest.raises(ValueError, match=r"'label' has 4 rows and the batch 8 samples; give one row"):
        conditioned(LABELS[:4])(torch.zeros(8, 2), SDE.kernel(0.5))
