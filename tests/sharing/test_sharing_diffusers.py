"""Folders of diffusers' pipelines: theirs sampled here and ours sampled there give the same numbers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import (
    DDIMPipeline,
    DDIMScheduler,
    DDPMPipeline,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HeunDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UNet2DModel,
    UniPCMultistepScheduler,
)
from torch import Tensor

from sde_diffusion import DiffusionModel
from sde_diffusion.denoisers.base import Denoiser, Preconditioned
from sde_diffusion.networks import UNet
from sde_diffusion.networks.foreign import DiffusersBackbone
from sde_diffusion.parameterization import (
    Data,
    EDMPreconditioning,
    Noise,
    Velocity,
)
from sde_diffusion.reversal import data_form, velocity_form
from sde_diffusion.sde import DDPM, EDM, VE, VP, LinearSDE
from sde_diffusion.sharing import timestep_of, to_diffusers
from sde_diffusion.sharing.chain import as_chain
from solvers import Euler, ExponentialEuler, FixedGrid, fixed
from tests.sharing.models import from_diffusers, from_pretrained, moved

EVENT = (2, 8, 8)


def unet(**options) -> UNet2DModel:
    network = UNet2DModel(
        sample_size=8, in_channels=2, out_channels=2, block_out_channels=(8, 8), layers_per_block=1, norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"), **options
    )  # fmt: skip
    return moved(network).eval()


def model(sde: LinearSDE, meaning=Noise, **options) -> Preconditioned:
    return Preconditioned(DiffusersBackbone(unet(**options), timestep_of(sde)), meaning(1.0)).eval()


def start(dtype: torch.dtype) -> Tensor:
    return torch.randn(3, *EVENT, dtype=dtype, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def ours(denoiser: Denoiser, chain: DDPM, steps: list[int], x: Tensor) -> Tensor:
    """DDIM here: exponential Euler on the data form over the nodes of their steps, then the denoised mean."""
    reversal = data_form(chain, denoiser)
    readings = [reversal.clock.from_time(chain.node(k + 1)) for k in steps]
    solver = FixedGrid(ExponentialEuler(), len(steps) - 1, fixed(readings))
    y = solver(reversal.equation, reversal.to_chart(x, readings[0]), readings[0], readings[-1])
    return reversal.finish(reversal.from_chart(y, readings[-1]), readings[-1])


@torch.no_grad()
def theirs(network: UNet2DModel, scheduler: DDIMScheduler, x: Tensor, **told) -> Tensor:
    """The loop of DDIMPipeline."""
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, t, **told).sample, t, x, eta=0.0).prev_sample
    return x


def exactly(scheduler: DDIMScheduler, chain: DDPM) -> None:
    """diffusers keeps its table in float32; the chain's own, in float64."""
    scheduler.alphas_cumprod = torch.tensor([chain.alpha_bar(k + 1) for k in range(chain.steps)], dtype=torch.float64)


@pytest.mark.parametrize("meaning", [Noise, Data, Velocity])
@pytest.mark.parametrize("sde", [DDPM(), DDPM.cosine(50), VP()], ids=["linear", "cosine", "vp"])
def test_diffusers_samples_what_we_export(sde, meaning, tmp_path):
    """Loaded by diffusers itself; in float64 to 1e-10 of the samples' size, as it is to 1e-4."""
    denoiser, chain = model(sde, meaning), as_chain(sde)
    pipeline = DDIMPipeline.from_pretrained(to_diffusers(tmp_path / "out", denoiser, sde, EVENT), use_safetensors=True)
    pipeline.scheduler.set_timesteps(10)
    steps = pipeline.scheduler.timesteps.tolist()
    single = ours(denoiser, chain, steps, start(torch.float32))
    network = pipeline.unet.eval()
    torch.testing.assert_close(
        single, theirs(network, pipeline.scheduler, start(torch.float32)), rtol=0, atol=1e-4 * float(single.abs().max())
    )
    exactly(pipeline.scheduler, chain)
    double = ours(denoiser.double(), chain, steps, start(torch.float64))
    torch.testing.assert_close(
        double, theirs(network.double(), pipeline.scheduler, start(torch.float64)),
        rtol=0, atol=1e-10 * float(double.abs().max()),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_a_folder_in_half_precision_gives_the_samples_of_the_whole_one(dtype, tmp_path):
    """Its weights are read as float32: samples differ by what the rounding of the weights moves them."""
    for name, kind in (("whole", torch.float32), ("half", dtype)):
        DDPMPipeline(unet().to(kind), DDPMScheduler()).save_pretrained(tmp_path / name)
    whole, half = (DiffusionModel.load(tmp_path / name, device="cpu").sample(2, nfe=5) for name in ("whole", "half"))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, whole, rtol=0, atol=8 * torch.finfo(dtype).eps * float(whole.abs().max()))
    assert not torch.equal(half, whole)


@pytest.mark.parametrize("word", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
def test_we_sample_what_diffusers_saved(schedule, word, tmp_path):
    network, told = unet(), {"beta_schedule": schedule, "prediction_type": word, "clip_sample": False}
    DDPMPipeline(network, DDPMScheduler(**told)).save_pretrained(tmp_path / "in")
    read = from_diffusers(tmp_path / "in")
    scheduler = DDIMScheduler(**told)
    scheduler.set_timesteps(10)
    mine = ours(read.denoiser, read.sde, scheduler.timesteps.tolist(), start(torch.float32))
    wanted = theirs(network, scheduler, start(torch.float32))
    torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))
    assert read.event_shape == EVENT
    assert not any(parameter.requires_grad for parameter in read.denoiser.parameters())


def test_a_model_of_classes_and_another_scheduler(tmp_path):
    """Four classes, of which the last was taught as none; saved with Euler's scheduler and a table of its own."""
    network, told = (
        unet(num_class_embeds=4),
        {"trained_betas": [0.01 + 0.001 * i for i in range(100)], "num_train_timesteps": 100},
    )
    pipeline = DDIMPipeline(network, DDIMScheduler(clip_sample=False, **told))
    pipeline.save_pretrained(tmp_path / "in")
    EulerDiscreteScheduler(**told).save_pretrained(tmp_path / "in/scheduler")
    read, labels = from_diffusers(tmp_path / "in", no_label=3), torch.tensor([0, 2, -1])
    pipeline.scheduler.set_timesteps(5)
    steps = pipeline.scheduler.timesteps.tolist()

    class Told(Denoiser):
        def forward(self, x_t, kernel, **condition):
            return read.denoiser(x_t, kernel, label=labels)

    wanted = theirs(network, pipeline.scheduler, start(torch.float32), class_labels=torch.tensor([0, 2, 3]))
    mine = ours(Told(), read.sde, steps, start(torch.float32))
    torch.testing.assert_close(mine, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


def test_there_and_back_changes_no_bit(tmp_path):
    sde = DDPM()
    denoiser = model(sde, Velocity).requires_grad_(False)  # torch's attention rounds otherwise where gradients are kept
    read = from_diffusers(to_diffusers(tmp_path / "out", denoiser, sde, EVENT))
    assert read.sde == sde
    assert read.denoiser.parameterization == denoiser.parameterization
    kernel, x = sde.kernel(0.3), start(torch.float32)
    assert torch.equal(read.denoiser(x, kernel), denoiser(x, kernel))


def test_what_diffusers_cannot_run_is_not_exported(tmp_path):
    chain = DDPM()
    foreign = model(chain)
    for denoiser, sde, event, words in [
        (Preconditioned(UNet(2), Noise()), chain, EVENT, "only run its own networks"),
        (Preconditioned(foreign.backbone, EDMPreconditioning(1.0)), chain, EVENT, "no scheduler of diffusers knows"),
        (Preconditioned(foreign.backbone, Noise(0.5)), chain, EVENT, "data_std=1"),
        (foreign, DDPM.cosine(), EVENT, "timesteps that are up to"),
        (foreign, VE(), EVENT, "does not preserve variance"),
        (foreign, chain, (3, 8, 8), "takes \\(2, H, W\\)"),
    ]:
        with pytest.raises((TypeError, ValueError), match=words):
            to_diffusers(tmp_path / "out", denoiser, sde, event)
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def folder(tmp_path) -> Path:
    DDIMPipeline(unet(), DDIMScheduler()).save_pretrained(tmp_path / "in")
    return tmp_path / "in"


def change(path: Path, **parts) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


@pytest.mark.parametrize(
    ("file", "parts", "words"),
    [
        ("model_index.json", {"unet": ["evil", "Model"]}, "only that is taken in"),
        ("model_index.json", {"unet": ["diffusers", "UNet2DConditionModel"]}, "only that is taken in"),
        ("model_index.json", {"vqvae": ["diffusers", "VQModel"]}, "also has 'vqvae'"),
        ("scheduler/scheduler_config.json", {"_class_name": "LCMScheduler"}, "known: DDIMScheduler"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "known: epsilon"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "../x"}, "known: linear"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "says nothing of the data"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**6}, "2 to 10000 steps"),
        ("scheduler/scheduler_config.json", {"beta_end": 2.0}, "each in \\(0, 1\\)"),
        ("unet/config.json", {"surprise": 1}, "takes no 'surprise'"),
        ("unet/config.json", {"block_out_channels": [8, 2**20]}, "another network"),
        ("unet/config.json", {"block_out_channels": [8, 2**40]}, "beyond"),
        ("unet/config.json", {"layers_per_block": 10**6}, "more layers than there are weights"),
        ("unet/config.json", {"down_block_types": ["os.system", "x"]}, "nothing that can be built"),
        ("unet/config.json", {"sample_size": None}, "no sample_size"),
    ],
)  # fmt: skip
def test_a_hostile_folder_is_refused_in_a_sentence(file, parts, words, folder):
    change(folder / file, **parts)
    with pytest.raises(ValueError, match=words) as found:
        from_diffusers(folder)
    assert "\n" not in str(found.value)


def test_pickles_are_not_opened_and_the_kinds_of_folders_are_distinguished(folder):
    with pytest.raises(ValueError, match="cannot be read"):
        from_pretrained(folder)
    (folder / "unet/diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.warns(UserWarning, match="may be a pickle and is not opened"):
        from_diffusers(folder)
    (folder / "unet/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(ValueError, match="may be a pickle"):
        from_diffusers(folder)


@pytest.mark.parametrize(
    "scheduler", [PNDMScheduler, UniPCMultistepScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler]
)
def test_a_multistep_scheduler_holds_the_same_chain(scheduler, folder):
    """The tables of betas are those of DDPMScheduler, each with its own defaults, and the samples with them."""
    scheduler(beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    config = json.loads((folder / "scheduler/scheduler_config.json").read_text())
    same = {name: config[name] for name in ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps")}
    read, wanted = from_diffusers(folder), DDPMScheduler(**same).alphas_cumprod.double()
    found = torch.tensor([read.sde.alpha_bar(k + 1) for k in range(read.sde.steps)], dtype=torch.float64)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("scheduler", [EDMEulerScheduler, EDMDPMSolverMultistepScheduler])
def test_a_network_of_edm_is_preconditioned_as_they_do(scheduler, folder):
    """Their input, their c_noise and their output, at five noise levels, to 1e-6 of the answer's size."""
    theirs = scheduler(sigma_data=0.7, sigma_max=50.0, sigma_min=0.01)
    theirs.save_pretrained(folder / "scheduler")
    read, network = from_diffusers(folder), unet()
    assert read.sde == EDM(50.0, 0.01)
    assert read.prior.std == pytest.approx((50.0**2 + 0.7**2) ** 0.5)
    for sigma in (0.01, 0.3, 1.0, 6.0, 50.0):
        x = sigma * start(torch.float32)
        with torch.no_grad():
            raw = network(theirs.precondition_inputs(x, sigma), theirs.precondition_noise(sigma)).sample
            wanted = theirs.precondition_outputs(x, raw, sigma)
        found = read.denoiser(x, read.sde.kernel(sigma))
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-6 * float(wanted.abs().max()))


def test_a_network_of_flow_matching_is_called_as_they_do(folder):
    """Its input is x_t itself and its timestep 1000 t; x_0 = x_t - t u, from another process of the same levels too."""
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    read, network, vp = from_diffusers(folder), unet(), VP()
    for t in (0.002, 0.3, 0.9, 0.99):
        x = start(torch.float32)
        with torch.no_grad():
            wanted = x - t * network(x, torch.tensor([1000 * t])).sample
        found = read.denoiser(x, read.sde.kernel(t))
        torch.testing.assert_close(found, wanted, rtol=0, atol=3e-6 * float(wanted.abs().max()))
        kernel = vp.kernel(vp.time(read.sde.log_snr(t)))
        again = read.denoiser(x * (kernel.alpha + kernel.sigma), kernel)
        torch.testing.assert_close(again, wanted, rtol=0, atol=3e-5 * float(wanted.abs().max()))


def test_a_flow_sampled_by_eulers_method_is_their_scheduler(folder):
    """Equal steps of t from their first sigma to their last one: the velocity form's Euler is theirs, number for number."""
    theirs = FlowMatchEulerDiscreteScheduler()
    theirs.save_pretrained(folder / "scheduler")
    read, network, x = from_diffusers(folder), unet(), start(torch.float32)
    theirs.set_timesteps(8)
    with torch.no_grad():
        wanted = x
        for t in theirs.timesteps[1:]:  # from 0.857 on: their first is t = 1, beyond the horizon of ours
            wanted = theirs.step(network(wanted, t[None]).sample, t, wanted).prev_sample
        reversal = velocity_form(read.sde, read.denoiser)
        *times, _ = theirs.sigmas[1:].double().tolist()
        y = FixedGrid(Euler(), len(times) - 1, fixed(times))(reversal.equation, x, times[0], times[-1])
        found = reversal.finish(y, times[-1])
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-4 * float(wanted.abs().max()))


def test_a_chain_of_zero_snr_is_read_with_v_and_its_samples_are_finite(folder):
    """All but the last step are the table of diffusers, and the first step of every sampler is a number."""
    theirs = DDIMScheduler(prediction_type="v_prediction", rescale_betas_zero_snr=True)
    theirs.save_pretrained(folder / "scheduler")
    read = from_diffusers(folder)
    found = torch.tensor([read.sde.alpha_bar(k + 1) for k in range(1000)], dtype=torch.float64)
    torch.testing.assert_close(found, theirs.alphas_cumprod.double(), rtol=0, atol=1e-6)
    for sampler in ("default", "dpmpp_2m", "ddpm", "heun"):
        assert torch.isfinite(read.sample(2, sampler, nfe=8)).all()


def test_a_half_precision_variant_is_read_where_there_is_nothing_else(folder):
    DDIMPipeline(unet().half(), DDIMScheduler()).save_pretrained(folder.with_name("half"), variant="fp16")
    read = from_diffusers(folder.with_name("half"))
    assert next(read.denoiser.parameters()).dtype == torch.float32
    wanted = from_diffusers(folder)
    x, kernel = start(torch.float32), wanted.sde.kernel(0.5)
    reference = wanted.denoiser(x, kernel)
    difference = (read.denoiser(x, kernel) - reference).abs().max()
    assert 0 < difference < 0.02 * reference.abs().max()


def test_a_scheduler_of_another_family_is_refused(folder):
    LCMScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(ValueError, match="LCMScheduler; known"):
        from_diffusers(folder)
    FlowMatchEulerDiscreteScheduler(invert_sigmas=True).save_pretrained(folder / "scheduler")
    with pytest.raises(ValueError, match="invert_sigmas"):
        from_diffusers(folder)
    EDMEulerScheduler(prediction_type="v_prediction").save_pretrained(folder / "scheduler")
    with pytest.raises(ValueError, match="turns the sign"):
        from_diffusers(folder)
    EDMEulerScheduler(sigma_data=0.0).save_pretrained(folder / "scheduler")
    with pytest.raises(ValueError, match="sigma_data is a number above 0"):
        from_diffusers(folder)
    UniPCMultistepScheduler(use_flow_sigmas=True).save_pretrained(folder / "scheduler")
    with pytest.raises(ValueError, match="use_flow_sigmas"):
        from_diffusers(folder)


def test_a_network_of_learned_variances_is_refused(tmp_path):
    network = UNet2DModel(sample_size=8, in_channels=2, out_channels=4, block_out_channels=(8,), norm_num_groups=4,
                          down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",))  # fmt: skip
    DDIMPipeline(network, DDIMScheduler()).save_pretrained(tmp_path / "in")
    with pytest.raises(ValueError, match="learned variances"):
        from_diffusers(tmp_path / "in")


def test_the_exported_pipeline_is_one_that_can_be_called(tmp_path):
    """In diffusers' own way: pictures in [0, 1], channels last."""
    chain = DDPM()
    pipeline = DDIMPipeline.from_pretrained(to_diffusers(tmp_path / "out", model(chain), chain, EVENT))
    pipeline.set_progress_bar_config(disable=True)
    drawn = pipeline(2, generator=torch.Generator().manual_seed(0), num_inference_steps=3, output_type="np").images
    assert drawn.shape == (2, 8, 8, 2)
