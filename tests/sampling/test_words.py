"""Samplers as text: our names, the names of other libraries, the grammar, and one sentence for what nobody knows."""

from __future__ import annotations

import inspect

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sde_diffusion.cli.sampler_specs import COMPARED, DEFAULT, sampler, samplers
from sde_diffusion.exact import ExactDenoiser
from sde_diffusion.exact.problems import two
from sde_diffusion.sampling.aliases import ALIASES, OTHERS, SUFFIXES
from sde_diffusion.sampling.grammar import equations, methods_by_name, parse
from sde_diffusion.sampling.named import SAMPLERS, ddim, names
from sde_diffusion.sampling.sampler import FormSampler
from sde_diffusion.sampling.spacings import GRIDS
from sde_diffusion.sde import VP
from solvers import FixedGrid
from solvers.adaptive import Adaptive
from solvers.adaptive_sde import AdaptiveSDE


@pytest.mark.parametrize("name", names())
def test_a_sampler_survives_being_written(name):
    made = SAMPLERS[name]()
    for one in (made, made.with_steps(7), made.with_nfe(30)):
        again = parse(str(one))
        assert (str(again), again.label, again.budget) == (str(one), one.label, one.budget)


@pytest.mark.parametrize("text", ["ddim(eta=0.5)/7", "unipc(k=3)/nfe=9", "heun/karras/20", "adaptive_ode/tol=0.001", "deis(k=2)/5",
                                  "data_form(eta=0.5)/exponential_euler/log_snr/50", "edm_stochastic(churn=10)/nfe=40",
                                  "dpmpp_2m_sde(eta=0.5)/30", "sa_solver(k=3, eta=0.5)/30", "annealed_langevin(relaxations=3)/9",
                                  "predictor_corrector(snr=0.1, corrections=2)/9"])  # fmt: skip
def test_arguments_survive_too(text):
    assert str(parse(text)) == text


FOREIGN = {
    "DPM++ 2M": "dpmpp_2m/nfe=20",
    "dpm++ 2m karras": "dpmpp_2m/karras/nfe=20",
    "dpmpp_2m_karras": "dpmpp_2m/karras/nfe=20",
    "dpmpp-2m-karras/30": "dpmpp_2m/karras/30",
    "DPM++ 2M SDE Karras": "dpmpp_2m_sde/karras/nfe=200",
    "DPM++ 3M SDE Exponential": "dpmpp_3m_sde/log_snr/nfe=200",
    "dpm++": "dpmpp_2m/nfe=20",
    "Euler": "euler/nfe=200",
    "Euler a": "ddpm/nfe=200",
    "euler_a": "ddpm/nfe=200",
    "euler_ancestral": "ddpm/nfe=200",
    "k_heun": "heun/nfe=20",
    "k_euler": "euler/nfe=200",
    "heun/20": "heun/20",
    "heun/20/karras": "heun/karras/20",
    "dpmpp_2m/20/karras": "dpmpp_2m/karras/20",
    "DPMSolverMultistepScheduler": "dpmpp_2m/nfe=20",
    "DDIMScheduler": "ddim/nfe=200",
    "UniPCMultistepScheduler": "unipc/nfe=20",
    "sample_dpmpp_2m_sde": "dpmpp_2m_sde/nfe=200",
    "dopri5/tol=1e-5": "adaptive_ode/tol=1e-05",
    "reverse_sde/30": "euler_maruyama/30",
    "data_adams": "dpmpp_2m/nfe=20",
    "flow_adams/12": "ab4/12",
    "flow_heun": "heun/nfe=20",
    "langevin": "annealed_langevin/nfe=300",
    "ancestral/100": "ddpm/100",
}


@pytest.mark.parametrize("text", FOREIGN)
def test_names_of_other_libraries_and_earlier_ones_are_understood(text):
    assert str(parse(text)) == FOREIGN[text]


def test_every_alias_leads_to_a_sampler_and_stands_in_no_list():
    for alias, target in ALIASES.items():
        assert parse(alias).label.split("/")[0] == target.split("/")[0]
        assert alias not in names()
    assert set(SUFFIXES.values()) <= set(GRIDS)


def test_the_schedulers_are_those_of_diffusers():
    """Every alias that stands for a class of diffusers is a class of diffusers."""
    diffusers = pytest.importorskip("diffusers")
    classes = {name.removesuffix("Scheduler").lower() for name in dir(diffusers) if name.endswith("Scheduler")}
    claimed = [
        alias
        for alias in ALIASES
        if alias.endswith(("discrete", "multistep", "singlestep", "solversde")) and "_" not in alias
    ]
    assert len(claimed) >= 10
    assert set(claimed) <= classes


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_not_made_here_is_said_with_what_to_take(name):
    with pytest.raises(ValueError, match=r"no sampler is called .* take \w+") as error:
        parse(name)
    taken = str(error.value).rpartition("take ")[2].split(",")[0]
    assert taken in names()


WRONG = {
    "dpmp_2m": "did you mean 'dpmpp_2m'",
    "huen": "did you mean 'heun'",
    "reverse_sd": "did you mean 'euler_maruyama'",
    "unknown_thing": "known: default, default_sde",
    "heun/20/karas": "did you mean 'karras'",
    "reverse_sde/heunn": "did you mean 'heun'",
    "reverse_sde(etta=1)": "did you mean 'eta'",
    "ddim(0.5)": "no name with arguments",
    "ddim(eta=2)": "eta between 0 and 1",
    "ddim(eta=a)": "cannot be built",
    "heun/0": "steps is a whole number",
    "heun/99999999999": "steps is a whole number",
    "heun/nfe=x": "is no nfe; write nfe=20",
    "heun/tol=1e-3": "heun takes a number of steps",
    "adaptive_ode/tol=zero": "is no tol; write tol=1e-4",
    "adaptive_ode/tol=1e-3/karras": "leave one out",
    "heun/20/30": "takes one budget",
    "heun/karras/log_snr": "takes one time grid",
    "default/karras": "has a time grid of its own",
    "heun/20/uniform(rho=2)": "takes no 'rho'",
    "probability_flow/euler_maruyama": "does not integrate probability_flow",
    "reverse_sde/heun/10": "choose euler_maruyama or sra1 or stochastic_heun",
    "velocity_form/heun/tol=1e-3": "takes a number of steps",
    "nowhere(x=1)/heun/20": "no equation is called 'nowhere'",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_nobody_knows_is_one_sentence(text):
    with pytest.raises(ValueError, match=r".") as error:
        parse(text)
    said = str(error.value)
    assert WRONG[text] in said
    assert "\n" not in said


@given(st.text(max_size=30))
def test_no_text_ends_in_another_error(text):
    try:
        parse(text)
    except (ValueError, FileNotFoundError):
        return


@pytest.mark.parametrize("name", equations())
def test_every_equation_takes_a_method_and_a_default_grid(name):
    """All that text can name runs: the first method that fits, eight steps."""
    if name == "predictor_corrector":
        text = "predictor_corrector(reversal=reverse_sde)/predictor_corrector(predictor=euler_maruyama)/8"
    else:
        fitting = [m for m, cls in methods_by_name().items() if _fits(name, cls)]
        text = f"{name}/{fitting[0]}/8"
    reversal, solver = parse(text).build(VP(), ExactDenoiser(two()))
    assert isinstance(solver, FixedGrid)
    assert solver.steps == 8
    assert len(solver.spacing(reversal.start, reversal.stop, 8)) == 9


def _fits(name, cls) -> bool:
    plain = all(p.default is not p.empty for p in inspect.signature(cls).parameters.values())
    return plain and type(equations()[name](VP(), ExactDenoiser(two())).equation) in cls().orders


def test_an_equation_to_a_tolerance():
    denoiser = ExactDenoiser(two())
    assert isinstance(parse("velocity_form/tol=1e-4").build(VP(), denoiser)[1], Adaptive)
    assert isinstance(parse("velocity_form/bosh3/tol=1e-3").build(VP(), denoiser)[1], Adaptive)
    assert isinstance(parse("reverse_sde/tol=0.03").build(VP(), denoiser)[1], AdaptiveSDE)


def test_the_command_line_compares_what_there_is():
    assert sampler(DEFAULT).label == "default"
    assert [one.label for one in samplers(COMPARED)] == COMPARED
    assert COMPARED[0] == DEFAULT
    with pytest.raises(ValueError, match=r"each of them once, got ddim twice"):
        samplers(["ddim/3", "ddim/4"])
    with pytest.raises(ValueError, match="at least one sampler"):
        samplers([])


def test_a_name_is_what_its_function_makes():
    assert all(isinstance(make(), FormSampler) or name in ("default", "default_sde") for name, make in SAMPLERS.items())
    assert str(ddim()) == "ddim/nfe=200"
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize("name", names())
def test_every_docstring_says_order_cost_and_names(name):
    words = inspect.getdoc(SAMPLERS[name]) or ""
    assert "calls a step" in words or "call a step" in words
    assert "rder" in words or name in ("annealed_langevin", "predictor_corrector")
    assert "Other names" in words
    assert "http" in words or name in ("default", "default_sde", "lms")
