"""Our samplers in an untouched pipeline of diffusers: the samples are those that the same solver makes here."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
)

from sde_diffusion import DiffusionModel
from sde_diffusion.reversal.scaled_velocity_form import weighted_clock
from sde_diffusion.sampling.tuned import Tuned
from sde_diffusion.sde import DDPM
from sde_diffusion.sharing.chain import chain_of
from sde_diffusion.sharing.diffusers_scheduler import SolverScheduler
from solvers.wiener import PathSpec
from tests.sharing.test_sharing_diffusers import EVENT, unet

PREDICTIONS = ["epsilon", "v_prediction", "sample"]
ODES = ["default", "dpmpp_2m", "dpmpp_3m", "deis", "unipc", "ddim", "euler", "heun", "ipndm", "dpm_solver_3"]
SDES = ["default_sde", "ddpm", "dpmpp_2m_sde", "sa_solver", "seeds", "ddim(eta=0.5)"]


@pytest.fixture(scope="module")
def network():
    small = unet()
    with torch.no_grad():
        small.conv_out.weight.mul_(0.3)
    return small


def pipeline(kind, network, **options):
    return kind(network, DDPMScheduler(clip_sample=False, **options))


@pytest.fixture(scope="module")
def model(network, tmp_path_factory):
    """The same network and chain as a model of ours."""

    @cache
    def made(prediction):
        folder = tmp_path_factory.mktemp(prediction) / "pipe"
        pipeline(DDPMPipeline, network, prediction_type=prediction).save_pretrained(folder)
        return DiffusionModel.load(folder, device="cpu")

    return made


@torch.no_grad()
def here(model, sampler, nfe, generator, dtype=torch.float32):
    """The sample from the noise and the number that a pipeline draws from this generator."""
    x = torch.randn(3, *EVENT, generator=generator).to(dtype)
    reversal, solver = model.solver(sampler, nfe=nfe)
    path = None
    if reversal.equation.stochastic:
        seed = int(torch.randint(2**62, (1,), generator=generator))
        path = solver.noise(PathSpec.like(x, seed, reversal.start, reversal.stop))
    return reversal.finish(reversal.solve(solver, x, path), reversal.stop)


@torch.no_grad()
def loop(pipe, nfe, generator, dtype=torch.float32):
    """The loop of the pipelines, before they clamp."""
    x = torch.randn(3, *EVENT, generator=generator).to(dtype)
    pipe.scheduler.set_timesteps(nfe)
    for t in pipe.scheduler.timesteps:
        x = pipe.scheduler.step(pipe.unet(x, t).sample, t, x, generator=generator).prev_sample
    return x


class Kept(SolverScheduler):
    """Keeps what it gave last, before the pipeline clamps it."""

    def step(self, *args, **kwargs):
        found = super().step(*args, **kwargs)
        self.last = found.prev_sample
        return found


def seeded():
    return torch.Generator().manual_seed(3)


@pytest.mark.parametrize("prediction", PREDICTIONS)
@pytest.mark.parametrize(("nfe", "kind"), [(5, DDPMPipeline), (10, DDIMPipeline), (20, DDPMPipeline)])
def test_the_default_rule_in_a_pipeline_is_the_default_rule(kind, nfe, prediction, network, model):
    """To 1e-5 of the samples' size, by the pipeline itself, and by what it clamps to make pictures."""
    pipe = pipeline(kind, network, prediction_type=prediction)
    pipe.scheduler = Kept.like(pipe.scheduler)
    pipe.set_progress_bar_config(disable=True)
    found = pipe(batch_size=3, num_inference_steps=nfe, generator=seeded(), output_type="pt").images
    expected = here(model(prediction), None, nfe, seeded())
    tolerance = {"rtol": 0, "atol": 1e-5 * max(1.0, float(expected.abs().max()))}
    torch.testing.assert_close(pipe.scheduler.last, expected, **tolerance)
    torch.testing.assert_close(found, (expected / 2 + 0.5).clamp(0, 1), **tolerance)


@pytest.mark.parametrize("nfe", [9, pytest.param(20, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", [*ODES, *SDES])
def test_every_sampler_in_a_pipeline_is_that_sampler(name, nfe, network, model):
    """In float64 to 1e-6 of the samples' size, with the noise of a stochastic one; never more calls than asked for."""
    pipe = pipeline(DDPMPipeline, copy.deepcopy(network).double(), prediction_type="v_prediction")
    pipe.scheduler = SolverScheduler.like(pipe.scheduler, name)
    found = loop(pipe, nfe, seeded(), torch.float64)
    assert len(pipe.scheduler.timesteps) <= nfe
    ours = copy.deepcopy(model("v_prediction"))
    ours.denoiser.double()
    expected = here(ours, name, nfe, seeded(), torch.float64)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 * float(expected.abs().max()))


def test_noise_before_the_first_call_costs_the_call_that_a_pipeline_begins_with(network, model):
    """edm_stochastic asks about a noisier state than the one given: ten calls give what nine give here."""
    pipe = pipeline(DDPMPipeline, network, prediction_type="v_prediction")
    pipe.scheduler = SolverScheduler.like(pipe.scheduler, "edm_stochastic")
    found = loop(pipe, 10, seeded())
    assert len(pipe.scheduler.timesteps) == 10
    expected = here(model("v_prediction"), "edm_stochastic", 9, seeded())
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def some_tuned(sde):
    """A solver of four calls with numbers of its own, each call told another level than that of its state."""
    clock = weighted_clock(sde, 1.5)
    grid = torch.linspace(clock.from_time(sde.horizon), clock.from_time(sde.t_min), 5, dtype=torch.float64)
    steps = grid.diff().tolist()
    table = [
        [1.5 * h, -0.5 * g][: i + 1] if i else [h] for i, (h, g) in enumerate(zip(steps, [0.0, *steps], strict=False))
    ]
    told = (0.97 * grid[:-1]).tolist()
    record = {"process": repr(sde)}
    return Tuned(1.5, float(grid[0]), float(grid[-1]), tuple(told), (1.0,) * 4, tuple(map(tuple, table)), record)


def test_a_tuned_solver_goes_into_the_configuration(network, model, tmp_path):
    """Its numbers, and not its file, are what a pipeline's folder keeps; it asks about another level first: one call more."""
    ours = model("v_prediction")
    some_tuned(ours.sde).save(tmp_path / "four.json")
    pipe = pipeline(DDPMPipeline, network, prediction_type="v_prediction")
    scheduler = SolverScheduler.like(pipe.scheduler, str(tmp_path / "four.json"))
    scheduler.save_pretrained(tmp_path / "scheduler")
    expected = here(ours, str(tmp_path / "four.json"), 4, seeded())
    (tmp_path / "four.json").unlink()
    pipe.scheduler = SolverScheduler.from_pretrained(tmp_path / "scheduler")
    torch.testing.assert_close(loop(pipe, 4, seeded()), expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert len(pipe.scheduler.timesteps) == 5


def test_a_configuration_comes_back_with_its_pipeline(network, tmp_path):
    pipe = pipeline(DDPMPipeline, network, beta_schedule="scaled_linear", beta_start=1e-3, prediction_type="sample")
    pipe.scheduler = SolverScheduler.like(pipe.scheduler, "dpmpp_3m")
    pipe.scheduler.save_pretrained(tmp_path / "scheduler")
    again = SolverScheduler.from_pretrained(tmp_path / "scheduler")
    told = [{name: value for name, value in one.config.items() if name[0] != "_"} for one in (again, pipe.scheduler)]
    assert told[0] == told[1]
    assert again.config.sampler == "dpmpp_3m"
    before = loop(pipe, 8, seeded())
    pipe.scheduler = again
    assert torch.equal(loop(pipe, 8, seeded()), before)


def test_a_pipeline_with_it_is_read_here(network, tmp_path):
    """Its scheduler says which chain belongs to the network, as any other."""
    pipe = pipeline(DDPMPipeline, network, prediction_type="v_prediction")
    pipe.save_pretrained(tmp_path / "pipe")
    SolverScheduler.like(pipe.scheduler).save_pretrained(tmp_path / "pipe" / "scheduler")
    read = DiffusionModel.load(tmp_path / "pipe", device="cpu")
    assert read.sde == DDPM()
    assert type(read.denoiser.parameterization).__name__ == "Velocity"


def test_the_chain_is_the_schedulers_whatever_its_defaults():
    """HeunDiscreteScheduler has other betas by default than DDPMScheduler."""
    for theirs in (HeunDiscreteScheduler(), DDPMScheduler()):
        scheduler = SolverScheduler.like(theirs)
        assert scheduler._chain == chain_of(dict(theirs.config))
        at = torch.tensor([0, 500, 999])
        noise = torch.randn(3, 2, dtype=torch.float64, generator=seeded())
        x0 = torch.ones(3, 2, dtype=torch.float64)
        bar = torch.tensor([scheduler._chain.alpha_bar(k + 1) for k in at.tolist()], dtype=torch.float64)[:, None]
        torch.testing.assert_close(scheduler.add_noise(x0, noise, at), bar.sqrt() * x0 + (1 - bar).sqrt() * noise)
        torch.testing.assert_close(scheduler.get_velocity(x0, noise, at), bar.sqrt() * noise - (1 - bar).sqrt() * x0)


def test_noise_is_added_as_diffusers_adds_it():
    theirs, x0 = DDIMScheduler(), torch.ones(3, 2)
    at, noise = torch.tensor([0, 500, 999]), torch.randn(3, 2, generator=seeded())
    torch.testing.assert_close(SolverScheduler.like(theirs).add_noise(x0, noise, at), theirs.add_noise(x0, noise, at))


def test_the_noise_of_a_sample_is_its_generators(network):
    """With a generator for each sample, as DDIMPipeline takes them, a sample does not depend on its batch."""
    pipe = pipeline(DDIMPipeline, network)
    pipe.scheduler = SolverScheduler.like(pipe.scheduler, "dpmpp_2m_sde")
    pipe.set_progress_bar_config(disable=True)

    def made(*seeds):
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return pipe(len(seeds), generators, num_inference_steps=6, output_type="pt").images

    torch.testing.assert_close(made(4, 5)[1:], made(5), rtol=0, atol=1e-5)


@torch.no_grad()
def test_generators_of_their_own_are_noise_of_their_own(network):
    """From one initial state: samples of equal generators are equal, those of others are not; so it is with one for all."""

    def made(generators):
        scheduler = SolverScheduler.like(DDPMScheduler(), "dpmpp_2m_sde")
        scheduler.set_timesteps(5)
        x = torch.ones(3, *EVENT)
        for t in scheduler.timesteps:
            x = scheduler.step(network(x, t).sample, t, x, generator=generators).prev_sample
        return x

    first, again, other = made([torch.Generator().manual_seed(seed) for seed in (4, 4, 5)])
    torch.testing.assert_close(first, again)
    assert (first - other).abs().max() > 0.05
    one, two, _ = made(torch.Generator().manual_seed(4))
    assert (one - two).abs().max() > 0.05


def test_a_pipeline_in_half_precision_keeps_the_solvers_state_in_float32(network):
    """The network's answers are rounded, the state between them is not: the sample is float32."""
    scheduler = SolverScheduler.like(DDPMScheduler())
    scheduler.set_timesteps(5)
    x = torch.randn(1, *EVENT, generator=seeded()).half()
    for t in scheduler.timesteps:
        x = scheduler.step((0.1 * x.float()).half(), t, x).prev_sample
        if t != scheduler.timesteps[-1]:
            assert x.dtype == torch.float16
    assert x.dtype == torch.float32


def test_what_a_pipeline_cannot_do_is_refused():
    scheduler, x = SolverScheduler.like(DDPMScheduler()), torch.zeros(1, 2)
    with pytest.raises(ValueError, match="call set_timesteps"):
        scheduler.step(x, 999, x)
    scheduler.set_timesteps(4)
    with pytest.raises(ValueError, match="from the first"):
        scheduler.step(x, scheduler.timesteps[1], x)
    with pytest.raises(ValueError, match=r"ddim\(eta=1.0\)"):
        scheduler.step(x, scheduler.timesteps[0], x, eta=1.0)
    x = scheduler.step(x, scheduler.timesteps[0], x).prev_sample
    with pytest.raises(ValueError, match="changed between two steps"):
        scheduler.step(x, scheduler.timesteps[1], x + 1)
    with pytest.raises(ValueError, match="give at least"):
        SolverScheduler.like(DDPMScheduler(), "heun").set_timesteps(2)
    with pytest.raises(ValueError, match="FlowMatch"):
        SolverScheduler.like(FlowMatchEulerDiscreteScheduler())
    with pytest.raises(ValueError, match="lacks beta_end"):
        SolverScheduler()
    with pytest.raises(ValueError, match="no sampler"):
        SolverScheduler.like(DDPMScheduler(), "nothing_of_the_kind")
