"""The probability-flow map: Gaussian in closed form, reference by DOP853, and exact quantiles in one dimension."""

from __future__ import annotations

import math

import pytest
import torch

from sde_diffusion.exact import Empirical, Gaussian, Mixture, flow_end_point
from sde_diffusion.kernel import Kernel
from tests.exact.exact_cases import close, covariance, gaussian, noisy, normal

ROADS = {
    "variance preserving": (Kernel(6e-3, math.sqrt(1 - 36e-6)), Kernel(math.sqrt(1 - 1e-6), 1e-3)),
    "variance exploding": (Kernel(1.0, 80.0), Kernel(1.0, 2e-3)),
    "rectified": (Kernel(0.0, 1.0), Kernel(0.99, 0.01)),
    "encoding": (Kernel(1.0, 1e-2), Kernel(0.0, 1.0)),
}


def ends(road: str):
    kernels = ROADS[road]
    return lambda t: kernels[int(t)]


@pytest.mark.parametrize("road", ROADS)
def test_reference_meets_the_gaussian_closed_form(road):
    law, (first, last) = gaussian(), ROADS[road]
    x = noisy(law, first, 20)
    end = flow_end_point(law, ends(road), x, 0, 1, block=7)
    assert close(end, law.flow(x, first, last), 1e-10)


@pytest.mark.parametrize("road", ROADS)
def test_reference_keeps_the_quantiles(road):
    """In one dimension the flow is monotone and transports the law: it keeps P(X <= x), known through erf."""
    weights, means = (
        torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64),
        torch.tensor([-1.0, 0.4, 2.0], dtype=torch.float64),
    )
    variances = torch.tensor([0.01, 0.2, 0.002], dtype=torch.float64)
    law, (first, last) = Mixture(weights, means[:, None], variances), ROADS[road]

    def quantile(x, kernel):
        spread = (kernel.alpha**2 * variances + kernel.sigma**2).sqrt()
        return torch.special.ndtr((x - kernel.alpha * means) / spread) @ weights

    x = noisy(law, first, 20)
    end = flow_end_point(law, ends(road), x, 0, 1)
    assert bool((quantile(end, last) - quantile(x, first)).abs().max() < 1e-10)


def test_reference_returns():
    law = Mixture([0.3, 0.7], normal(2, 1, 2), covariance(2, 2, 2))
    x = noisy(law, ROADS["rectified"][0], 9)
    there = flow_end_point(law, ends("rectified"), x, 0, 1)
    assert close(flow_end_point(law, ends("rectified"), there, 1, 0), x, 1e-9)
    assert bool((there - x).abs().max() > 0.1)


def test_reference_of_points_ends_on_one():
    law = Empirical(normal(5, 2))
    end = flow_end_point(law, lambda t: Kernel(1.0, t), normal(6, 2, seed=1) * 5, 5.0, 1e-5, tol=1e-8)
    assert bool((end - law.denoise(end, Kernel(1.0, 1e-5))).abs().max() < 1e-4)
    assert bool((end - law.points[law.nearest(end)]).abs().max() < 1e-4)


def test_tolerance_is_honoured():
    law = Mixture([0.3, 0.7], normal(2, 2), covariance(2, 2, 2))
    x = noisy(law, Kernel(1.0, 80.0), 12)
    fine, loose = (flow_end_point(law, ends("variance exploding"), x, 0, 1, tol=tol) for tol in (1e-12, 1e-6))
    assert 1e-13 < float((fine - loose).abs().max()) < 1e-5


def test_flow_solves_the_equation():
    """d/ds flow(x_t, t, s) at s = t is f x - g^2/2 score, for alpha = e^{-t}, sigma^2 = t + t^2 and per-sample times.

    There f = alpha'/alpha = -1 and g^2 = (sigma^2)' - 2 f sigma^2 = 1 + 4 t + 2 t^2.
    """
    law = gaussian()

    def kernel(t):
        return Kernel((-t).exp(), (t + t**2).sqrt())

    times = torch.tensor([0.01, 0.3, 1.0, 2.0], dtype=torch.float64)
    x = noisy(law, kernel(times), 4)
    _, slope = torch.func.jvp(lambda s: law.flow(x, kernel(times), kernel(s)), (times,), (torch.ones_like(times),))
    score = torch.cat([law.through(kernel(t)).score(row[None]) for t, row in zip(times, x, strict=True)])
    expected = -x - (1 + 4 * times + 2 * times**2)[:, None] / 2 * score
    assert close(slope, expected, 1e-12)


def test_flow_carries_the_law_to_the_law():
    """The map is affine, so it carries N(alpha_t m, V_t) to N(alpha_s m, V_s) when its offset and Jacobian say so."""
    law, t, s = gaussian(), Kernel(0.2, 0.9), Kernel(0.9, 0.3)
    jacobian = torch.func.jacrev(lambda x: law.flow(x[None], t, s)[0])(normal(3))
    carried = jacobian @ law.through(t).covariance @ jacobian.mT
    assert close(carried, law.through(s).covariance, 1e-12)
    assert close(law.flow(law.through(t).mean[None], t, s)[0], law.through(s).mean, 1e-12)


def test_isotropic_flow_is_the_full_one():
    thin, full = Gaussian.isotropic(0.3, 0.5, (3,)), Gaussian([0.3] * 3, 0.25 * torch.eye(3))
    x, t, s = normal(5, 3), Kernel(0.2, 0.9), Kernel(0.9, 0.3)
    assert close(thin.flow(x, t, s), full.flow(x, t, s), 1e-13)


def test_reference_doors():
    law, x = gaussian(), normal(2, 3)
    with pytest.raises(ValueError, match="sigma = 0"):
        flow_end_point(law, lambda t: Kernel(1.0, t), x, 1.0, 0.0)
    with pytest.raises(ValueError, match="float64"):
        flow_end_point(law.to(torch.float32), lambda t: Kernel(1.0, t), x, 1.0, 0.5)
