"""Picard iteration returns what the sequential loop returns, in fewer sweeps than steps."""

from __future__ import annotations

import pytest
import torch

from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.reversal import in_log_snr, probability_flow, reverse_sde
from sde_diffusion.sde import VP
from solvers import ODE, AdamsBashforth, Euler, EulerMaruyama, FixedGrid, Heun, StochasticHeun, WienerTree
from solvers.parallel import Picard

SDE, DENOISER = VP(), ExactDenoiser(two())
X = torch.randn(12, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
SPACING = in_log_snr(SDE)
CASES = [
    (probability_flow, Euler()),
    (probability_flow, Heun()),
    (reverse_sde, EulerMaruyama()),
    (reverse_sde, StochasticHeun()),
]


@pytest.mark.parametrize(("make", "method"), CASES, ids=lambda v: getattr(v, "__name__", repr(v)))
@pytest.mark.parametrize("window", [7, 60])
def test_the_sequential_solution_in_fewer_sweeps(make, method, window):
    reversal = make(SDE, DENOISER)
    path = WienerTree.like(X, 3, SDE.horizon, SDE.t_min) if reversal.equation.stochastic else None
    end = FixedGrid(method, 60, SPACING)(reversal.equation, X, SDE.horizon, SDE.t_min, path)
    got = Picard(method, 60, SPACING, tol=1e-7, window=window).solve(reversal.equation, X, SDE.horizon, SDE.t_min, path)
    assert (got.x - end).abs().max() < 1e-4
    assert got.sweeps < 60


def test_the_error_follows_the_tolerance():
    reversal = probability_flow(SDE, DENOISER)
    end = FixedGrid(Euler(), 80, SPACING)(reversal.equation, X, SDE.horizon, SDE.t_min)
    results = [
        Picard(Euler(), 80, SPACING, tol).solve(reversal.equation, X, SDE.horizon, SDE.t_min) for tol in (1e-2, 1e-5)
    ]
    errors = [(r.x - end).abs().max().item() for r in results]
    assert errors[1] < 1e-3 * max(errors[0], 1e-3) or errors[1] < 1e-4
    assert results[0].sweeps < results[1].sweeps


def test_a_sample_settles_as_if_it_were_alone():
    """Others that are at rest, or more numbers that move alike, change neither the sweeps nor the state."""
    decay, one = ODE(lambda x, t: -x), torch.ones(1, 1, dtype=torch.float64)
    picard = Picard(Euler(), 40, tol=1e-3)
    alone = picard.solve(decay, one, 0.0, 3.0)
    assert 3 < alone.sweeps < 40
    for other in (torch.cat([one, torch.zeros(99, 1)]), one.expand(1, 99), one.expand(99, 1)):
        got = picard.solve(decay, other, 0.0, 3.0)
        assert got.sweeps == alone.sweeps
        assert got.x[0, 0] == alone.x[0, 0]


def test_after_as_many_sweeps_as_steps_nothing_is_left_to_iterate():
    """With a tolerance that nothing meets, each sweep settles one step, exactly: the loop ends with the sequential state."""
    reversal = probability_flow(SDE, DENOISER)
    end = FixedGrid(Euler(), 10, SPACING)(reversal.equation, X, SDE.horizon, SDE.t_min)
    got = Picard(Euler(), 10, SPACING, tol=1e-300).solve(reversal.equation, X, SDE.horizon, SDE.t_min)
    assert got.sweeps <= 11
    torch.testing.assert_close(got.x, end, rtol=1e-9, atol=1e-9)


def test_methods_with_a_memory_are_refused():
    reversal = probability_flow(SDE, DENOISER)
    with pytest.raises(TypeError, match="takes one-step methods, such as Heun"):
        Picard(AdamsBashforth(2), 10)(reversal.equation, X, SDE.horizon, SDE.t_min)


@pytest.mark.parametrize(("tol", "window"), [(0.0, 4), (1e-3, 0)])
def test_impossible_settings_are_refused(tol, window):
    with pytest.raises(ValueError, match="tol > 0 and window >= 1"):
        Picard(Euler(), 10, tol=tol, window=window)
