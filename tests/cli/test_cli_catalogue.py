"""Everything on disk is found, can be built by its name, and every reversal samples with every method that fits it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch

import sde_diffusion
from sde_diffusion.cli import factories as build
from sde_diffusion.cli.sampler_specs import COMPARED, sampler
from sde_diffusion.denoisers.counting import CallCounter
from sde_diffusion.exact import ExactDenoiser, problems
from sde_diffusion.plugins import KINDS, choices, is_plain, summary
from sde_diffusion.sampling.sample import sample
from sde_diffusion.sde import VP
from sde_diffusion.specs import spec
from solvers import FixedGrid, KeyedIncrements

ROOM = Path(sde_diffusion.__file__).parent


def returning(folder: str, word: str) -> set[str]:
    """The public functions in the files of a folder whose return annotation is `word`."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in (ROOM / folder).glob("*.py")]
    functions = [node for tree in trees for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {f.name for f in functions if f.returns and ast.unparse(f.returns) == word and not f.name.startswith("_")}


def test_every_reversal_on_disk_is_found_and_no_helper_is():
    helpers = {"on_sde_time", "in_data_chart", "change_of_variables"}  # they take an equation, which has no name
    helpers |= {"bridge_flow", "bridge_sde", "half_bridge", "in_bridge_time"}  # and these a bridge
    assert set(choices("reversal")) == returning("reversal", "Reversal") - helpers
    assert not set(choices("reversal")) & helpers
    assert set(choices("reversal")) >= {"reverse_sde", "probability_flow", "data_form", "predictor_corrector"}


def test_the_well_known_names_are_there():
    assert set(choices("process")) >= {"vp", "sub_vp", "ve", "brownian", "cosine", "edm", "rectified", "ddpm"}
    assert set(choices("parameterization")) >= {"noise", "data", "score", "velocity", "edm"}
    assert set(choices("network")) >= {"mlp", "unet"}
    assert set(choices("data set")) >= {"digits", "ring", "two_gaussians", "moons", "patches", "mnist", "cifar10"}
    assert set(choices("method")) >= {"euler", "heun", "rk4", "euler_maruyama", "exponential_adams"}
    assert set(choices("weighting")) >= {"simple", "likelihood", "edm_weighting", "min_snr"}
    assert set(choices("time distribution")) >= {"uniform_time", "uniform_log_snr", "log_normal_level"}
    assert set(choices("exact law")) >= {"two", "ring8", "mixture64", "digits_empirical"}
    assert len(COMPARED) >= 4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sampler"])
def test_everything_says_what_it_is(kind):
    for name, thing in choices(kind).items():
        assert len(summary(thing)) >= 8, name


@pytest.mark.parametrize("name", choices("process"))
def test_every_process_is_built_by_its_name(name):
    sde = build.process(spec(name))
    assert sde.horizon > sde.t_min


@pytest.mark.parametrize("name", choices("network"))
def test_every_network_is_built_by_its_name_and_its_weights_follow_the_seed(name):
    state = torch.get_rng_state()
    one, same, other = (build.network(spec(name), (1, 8, 8), seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one[key], same[key]) for key in one)
    assert any(not torch.equal(one[key], other[key]) for key in one)


def test_what_is_measured_on_the_data_reaches_the_objective_unless_it_is_given():
    told = spec("denoising_score_matching", weighting="edm_weighting")
    assert build.objective(told, 0.75).weighting.data_std == 0.75
    given = spec("denoising_score_matching", weighting=spec("edm_weighting", data_std=0.5))
    assert build.objective(given, 0.75).weighting.data_std == 0.5
    assert build.parameterization(spec("edm"), 0.75).data_std == 0.75


LAW = problems.two()
ODES = ("probability_flow", "noise_form", "data_form")


UNNAMED = ["probability_flow/heun/60/power", "noise_form", "data_form(eta=1)/80", "ddim/40"]


@pytest.mark.parametrize("name", [*COMPARED, *UNNAMED])
def test_a_named_sampler_lands_on_the_law(name):
    """The share of the heavier mode of `two`, 0.7: within five standard errors of 400 samples."""
    recipe = sampler(name)
    reversal, solver = recipe.build(VP(), ExactDenoiser(LAW))
    x = sample(reversal, solver, (400, 2), seed=1, dtype=torch.float64, chunk=400)
    heavy = (LAW.classify(x) == 1).double().mean().item()
    assert abs(heavy - 0.7) < 5 * (0.7 * 0.3 / 400) ** 0.5
    assert (x - LAW.centres[LAW.classify(x)]).norm(dim=1).quantile(0.9) < 0.2 * 2.15 * 1.3  # Rayleigh's quantile: 2.15


def test_every_reversal_goes_with_every_method_that_declares_its_equation():
    """Such a pair is assembled and samples; every other pair is refused. A pair takes at least an evaluation a step."""
    sde, tried = VP(), 0
    for reversal in set(choices("reversal")) - {"predictor_corrector"}:
        for method in ready_methods():
            counted = CallCounter(ExactDenoiser(LAW))
            equation = build.reversal(spec(reversal), sde, counted).equation
            if type(equation) not in build.method(spec(method)).orders:
                with pytest.raises(ValueError, match="does not integrate"):
                    sampler(f"{reversal}/{method}/4")
                continue
            found, solver = sampler(f"{reversal}/{method}/4").build(sde, counted)
            sample(found.without_final_denoise(), solver, (4, 2), noise=KeyedIncrements, chunk=4, dtype=torch.float64)
            tried += 1
            assert counted.calls >= 4, (reversal, method)
    assert tried >= 12


def ready_methods() -> list[str]:
    return [name for name, cls in choices("method").items() if is_plain(cls)]


def test_predictor_corrector_is_named_by_its_parts():
    text = "predictor_corrector(reversal=reverse_sde)/predictor_corrector(predictor=euler_maruyama, snr=0.1)/40"
    reversal, solver = sampler(text).build(VP(), ExactDenoiser(LAW))
    assert isinstance(solver, FixedGrid)
    x = sample(reversal, solver, (64, 2), chunk=64, dtype=torch.float64)
    assert torch.isfinite(x).all()
