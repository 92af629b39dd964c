"""Liouville's equation along a linear flow, where the answer is a trace times a time."""

from __future__ import annotations

import pytest
import torch

from solvers import ODE, RK4, AdamsBashforth, FixedGrid, Heun, ItoSDE, SemilinearODE
from solvers.adaptive import Adaptive
from solvers.divergence import ExactTrace, Hutchinson, HutchPlusPlus
from solvers.liouville import solve_with_log_density
from solvers.methods.dopri5 import Dopri5

MATRIX = torch.tensor([[0.3, -0.9, 0.2], [0.5, -0.4, 0.1], [0.0, 0.7, 0.6]], dtype=torch.float64)
LINEAR = ODE(lambda x, t: x @ MATRIX.mT)


def points(n: int = 6) -> torch.Tensor:
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


SOLVERS = [FixedGrid(RK4(), 40), FixedGrid(AdamsBashforth(4, starter=RK4()), 80), Adaptive.tol(Dopri5(), 1e-8)]


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: f"{type(s).__name__}-{type(s.method).__name__}")
@pytest.mark.parametrize("span", [(0.0, 1.5), (1.5, 0.0)])
def test_a_linear_flow_has_the_trace_times_the_time(solver, span):
    x, integral = solve_with_log_density(solver, LINEAR, points(), *span, ExactTrace())
    length = span[1] - span[0]
    torch.testing.assert_close(integral[:, 0], (MATRIX.trace() * length).expand(6), rtol=1e-6, atol=0)
    torch.testing.assert_close(x, points() @ torch.linalg.matrix_exp(MATRIX * length).mT, rtol=1e-5, atol=1e-5)


def test_frozen_probes_integrate_to_their_own_quadratic_form():
    """With v fixed for the solve the integral is v^T A v times the time, exactly: the noise is not drawn anew."""
    divergence, x = Hutchinson(3), points()
    probes = divergence.probes(x, 7, torch.arange(6))
    _, integrals = solve_with_log_density(FixedGrid(RK4(), 10), LINEAR, x, 0.0, 2.0, divergence, seed=7)
    expected = 2.0 * torch.einsum("bpi,ij,bpj->bp", probes, MATRIX, probes)
    torch.testing.assert_close(integrals, expected, rtol=1e-9, atol=1e-9)


def test_an_adaptive_solver_keeps_each_samples_probes():
    """Samples of very different speed, so that few arrive together: alone or in the batch, the same integrals."""
    field = ODE(lambda x, t: torch.sin(3 * x @ MATRIX.mT) * x.square().sum(1, keepdim=True))
    x, divergence = points(3) * torch.tensor([0.1, 1.6, 0.6])[:, None], HutchPlusPlus(1, 2)
    solver = Adaptive.tol(Dopri5(), 1e-3)
    _, whole = solve_with_log_density(solver, field, x, 0.0, 1.0, divergence, seed=1)
    for i in range(3):
        _, alone = solve_with_log_density(
            solver, field, x[i : i + 1], 0.0, 1.0, divergence, seed=1, indices=torch.tensor([i])
        )
        torch.testing.assert_close(alone[0], whole[i], rtol=1e-9, atol=1e-9)


def test_a_semilinear_equation_counts_its_linear_part():
    equation = SemilinearODE(-2.0, lambda y, t: y @ MATRIX.mT)
    _, integral = solve_with_log_density(FixedGrid(RK4(), 60), equation, points(), 0.0, 1.0, ExactTrace())
    torch.testing.assert_close(integral[:, 0], (MATRIX.trace() - 6.0).expand(6), rtol=1e-9, atol=0)


def test_gradients_pass_through_states_and_divergences():
    """d/dx of the integral of div F for F = x^2 along its flow, against central differences."""
    field = ODE(lambda x, t: x**2)

    def integral(x):
        return solve_with_log_density(FixedGrid(RK4(), 20), field, x, 0.0, 0.5, ExactTrace())[1].sum()

    x = torch.tensor([[0.3], [-0.6]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(integral(x), x)
    h = 1e-5
    for i in range(2):
        shift = torch.zeros_like(x)
        shift[i] = h
        with torch.no_grad():
            assert gradient[i].item() == pytest.approx(
                ((integral(x + shift) - integral(x - shift)) / (2 * h)).item(), rel=1e-6
            )


def test_what_has_no_flow_is_refused():
    with pytest.raises(TypeError, match="ODE"):
        solve_with_log_density(
            FixedGrid(Heun(), 4), ItoSDE(lambda x, t: x, lambda t: 1.0), points(), 0.0, 1.0, ExactTrace()
        )
    with pytest.raises(ValueError, match="NaN"):
        solve_with_log_density(FixedGrid(Heun(), 4), LINEAR, points() * torch.nan, 0.0, 1.0, ExactTrace())
