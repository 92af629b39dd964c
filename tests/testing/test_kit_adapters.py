"""Other libraries' samplers through the kit: sound ones pass, and what is known of the others is found."""

from __future__ import annotations

import pytest

from sde_diffusion.testing import check_sampler
from sde_diffusion.testing.adapters import azula, diffusers, k_diffusion


def test_schedulers_of_diffusers():
    library = pytest.importorskip("diffusers", reason="the adapter is for diffusers")
    settings = {"solver_order": 2, "lower_order_final": False}
    for declared, sound in ((2, True), (3, False)):
        made = diffusers.scheduler(library.DPMSolverMultistepScheduler, "DPM-Solver++ 2M", declared, **settings)
        assert check_sampler(made).ok is sound
    # its third order has a wrong sign in the coefficient of the second difference: weak order one
    for order, declared, sound in ((1, 1, True), (2, 2, True), (3, 2, False)):
        noisy = {"algorithm_type": "sde-dpmsolver++", "solver_order": order, "lower_order_final": False}
        made = diffusers.scheduler(library.DPMSolverMultistepScheduler, "SDE", declared, True, **noisy)
        assert check_sampler(made).ok is sound


def test_fixed_adams_weights_lose_their_order_on_alternating_steps():
    pytest.importorskip("diffusers", reason="the adapter is for diffusers")
    report = check_sampler(diffusers.ipndm(2, 2))
    assert [finding.check for finding in report.failures] == ["order on alternating steps"]


@pytest.mark.global_rng
def test_functions_of_k_diffusion():
    k = pytest.importorskip("k_diffusion.sampling", reason="the adapter is for k-diffusion")
    assert check_sampler(k_diffusion.sampler(k.sample_dpmpp_2m, "2M", 2)).ok
    assert check_sampler(k_diffusion.sampler(k.sample_euler_ancestral, "ancestral", 1, stochastic=True)).ok
    euler = check_sampler(k_diffusion.sampler(k.sample_euler, "euler", 2))
    assert not euler.ok
    assert euler["draws from the global generator"].error == 1


def test_samplers_of_azula():
    library = pytest.importorskip("azula.sample", reason="the adapter is for azula")
    assert check_sampler(azula.sampler(library.EulerSampler, "Euler", 1)).ok
    assert check_sampler(azula.sampler(library.HeunSampler, "Heun", 2))["order"].verdict == "passes"
