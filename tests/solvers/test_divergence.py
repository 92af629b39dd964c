"""Divergences: the exact one against reverse-mode Jacobians, the estimators' means and variances against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from solvers.divergence import ExactTrace, Hutchinson, HutchPlusPlus, XTrace, gaussian, rademacher, sphere

MANY = 20_000


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


def linear(matrix):
    return lambda x: (x.flatten(1) @ matrix.mT).reshape(x.shape)


def symmetric(d: int, seed: int = 0):
    root = normal(d, d, seed=seed)
    return (root + root.mT) / 2


def repeated(divergence, matrix, d: int):
    """MANY draws of the mean over the columns at one point."""
    x = normal(1, d, seed=1).expand(MANY, d)
    probes = divergence.probes(x, 3, torch.arange(MANY))
    return divergence.along(linear(matrix), x, probes)[1]


@pytest.mark.parametrize("shape", [(5,), (2, 3), (1, 2, 2)])
@pytest.mark.parametrize("block", [1, 4, 64])
def test_the_exact_trace_is_that_of_the_jacobian(shape, block):
    def field(x):
        return torch.tanh(x.flatten(1) @ weights).reshape(x.shape) * x.flatten(1).sum(1).reshape(-1, *(1,) * len(shape))

    d = math.prod(shape)
    weights, x = normal(d, d, seed=2), normal(3, *shape, seed=3)
    jacobians = [torch.func.jacrev(lambda z: field(z[None])[0])(point).reshape(d, d) for point in x]
    value, trace = ExactTrace(block).along(field, x, ExactTrace(block).probes(x, 0, torch.arange(3)))
    torch.testing.assert_close(trace[:, 0], torch.stack([j.trace() for j in jacobians]), rtol=1e-12, atol=1e-12)
    assert torch.equal(value, field(x))


def test_forward_and_reverse_agree():
    """Without gradients the products are J v, with them J^T v: the same field, the same trace, the same quadratic forms."""
    matrix, x = normal(6, 6, seed=11), normal(3, 6, seed=12)
    for divergence in (ExactTrace(), Hutchinson(4)):
        probes = divergence.probes(x, 0, torch.arange(3))
        recorded = divergence.along(linear(matrix), x, probes)
        with torch.no_grad():
            plain = divergence.along(linear(matrix), x, probes)
        torch.testing.assert_close(recorded, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("norm", [torch.nn.LayerNorm(8), torch.nn.GroupNorm(2, 8)], ids=lambda n: type(n).__name__)
def test_the_gradient_of_a_trace_reaches_the_weights(norm):
    """Against central differences, through the layers that networks are made of: forward mode has it wrong for one."""
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 8), norm, torch.nn.SiLU(), torch.nn.Linear(8, 3)).double()
    x, weight = normal(5, 3, seed=13), next(net.parameters())

    def trace():
        return ExactTrace().along(net, x, ExactTrace().probes(x, 0, torch.arange(5)))[1].sum()

    (gradient,) = torch.autograd.grad(trace(), weight)
    for i in range(3):
        shift = torch.zeros_like(weight)
        shift[i, i] = 1e-5
        with torch.no_grad():
            weight += shift
            high = trace()
            weight -= 2 * shift
            low = trace()
            weight += shift
        assert gradient[i, i].item() == pytest.approx((high - low).item() / 2e-5, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    "divergence",
    [Hutchinson(2), Hutchinson(2, gaussian), Hutchinson(2, sphere), HutchPlusPlus(2, 2), XTrace(3)],
    ids=lambda d: f"{type(d).__name__}-{getattr(getattr(d, 'law', None), '__name__', '')}",
)
def test_an_estimate_is_unbiased(divergence):
    """An unsymmetric Jacobian: the mean of 20000 estimates, each column on its own, within 4.5 standard errors."""
    matrix = normal(6, 6, seed=4)
    estimates = repeated(divergence, matrix, 6)
    assert estimates.shape == (MANY, divergence.columns)
    errors = estimates.std(0) / math.sqrt(MANY)
    assert (errors < 0.1).all(), "too few draws to see a bias"
    assert ((estimates.mean(0) - matrix.trace()).abs() < 4.5 * errors).all()


@pytest.mark.parametrize(
    ("law", "variance"),
    [
        (gaussian, lambda j: 2 * j.square().sum()),
        (sphere, lambda j: 2 * 6 / 8 * (j.square().sum() - j.trace() ** 2 / 6)),
        (rademacher, lambda j: 2 * (j.square().sum() - j.diagonal().square().sum())),
    ],
    ids=["gaussian", "sphere", "rademacher"],
)
def test_the_variance_is_the_formula(law, variance):
    """The variance of 40000 estimates within 6%: its own relative deviation is about 1.5% here."""
    matrix = symmetric(6)
    assert repeated(Hutchinson(2, law), matrix, 6).var().item() == pytest.approx(variance(matrix).item(), rel=0.06)


@pytest.mark.parametrize("divergence", [HutchPlusPlus(3, 2), XTrace(4)], ids=lambda d: type(d).__name__)
def test_deflation_is_exact_at_low_rank(divergence):
    """A matrix of rank three: no more is left to the probes than rounding."""
    low = normal(3, 12, seed=6)
    matrix = low.mT @ low
    x = normal(4, 12, seed=7)
    estimates = divergence.along(linear(matrix), x, divergence.probes(x, 0, torch.arange(4)))[1]
    torch.testing.assert_close(estimates, matrix.trace().expand(estimates.shape), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "divergence",
    [Hutchinson(2), Hutchinson(2, sphere), HutchPlusPlus(3, 2), XTrace(4)],
    ids=lambda d: f"{type(d).__name__}-{getattr(getattr(d, 'law', None), '__name__', '')}",
)
def test_a_multiple_of_the_identity_costs_no_variance(divergence):
    x = normal(4, 12, seed=8)
    estimates = divergence.along(lambda y: -3.0 * y, x, divergence.probes(x, 0, torch.arange(4)))[1]
    torch.testing.assert_close(estimates, torch.full_like(estimates, -36.0), rtol=1e-9, atol=0.0)


def test_deflation_beats_plain_probes_where_the_spectrum_falls():
    """Eigenvalues j^-2 in 20 dimensions at equal products: a fifth of the variance or less."""
    frame = torch.linalg.qr(normal(20, 20, seed=9)).Q
    matrix = (frame * torch.arange(1, 21, dtype=torch.float64) ** -2.0) @ frame.mT
    plain = repeated(Hutchinson(12), matrix, 20).mean(1).var()
    assert repeated(HutchPlusPlus(4, 4), matrix, 20).mean(1).var() < plain / 5
    assert repeated(XTrace(6), matrix, 20).mean(1).var() < plain / 5


@pytest.mark.parametrize("law", [gaussian, sphere, rademacher])
def test_probes_belong_to_the_sample(law):
    """A sample's probes are those of its number in any batch; another number or seed has others."""
    x = normal(6, 3, seed=10)
    all_, some = (
        Hutchinson(4, law).probes(x, 2, torch.arange(6)),
        Hutchinson(4, law).probes(x[:2], 2, torch.tensor([5, 1])),
    )
    assert torch.equal(some, all_[[5, 1]])
    assert not torch.equal(all_[0], all_[1])
    assert not torch.equal(all_, Hutchinson(4, law).probes(x, 3, torch.arange(6)))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: ExactTrace(0), "block"),
        (lambda: Hutchinson(0), "probe"),
        (lambda: HutchPlusPlus(0, 1), "sketch"),
        (lambda: XTrace(1), "leaves one probe out"),
        (lambda: XTrace(3).probes(torch.zeros(1, 3), 0, torch.arange(1)), "fewer probes"),
        (lambda: HutchPlusPlus(3, 1).probes(torch.zeros(1, 3), 0, torch.arange(1)), "smaller than the event"),
    ],
)
def test_what_cannot_be_estimated_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
