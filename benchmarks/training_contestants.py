"""The contestants that train a U-Net in `benchmarks.training`: our loop, diffusers' example, denoising-diffusion-pytorch's Trainer.

Each is a generator: it builds its network, yields it, and takes a training step at every further turn.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from benchmarks.networks import EVENT, theirs
from sde_diffusion.denoisers.base import Preconditioned
from sde_diffusion.networks import UNet
from sde_diffusion.networks.base import Backbone
from sde_diffusion.parameterization import EDMPreconditioning
from sde_diffusion.sde import VP
from sde_diffusion.training import ComputeSettings, TrainSettings, train
from sde_diffusion.training.ema.exponential import EMA


@dataclass(frozen=True)
class Job:
    """What all have to do: the size, the batch, the device, and one of float32, bfloat16.

    `network` and, on a GPU, `channels_last` are those of our loop alone.
    """

    options: dict
    batch: int
    device: torch.device
    precision: str
    compile: bool
    block: int
    network: type[Backbone] = UNet
    channels_last: bool = True

    def images(self) -> Tensor:
        """As many as are needed for every batch to be a new one, in [-1, 1]."""
        return 2 * torch.rand(64 * self.batch, *EVENT, generator=torch.Generator().manual_seed(0)) - 1


Contestant = Callable[[Job], Iterator[nn.Module]]


def ours(job: Job) -> Iterator[nn.Module]:
    """`train`, with a report at the end of each block, the average of the weights, and no folder."""
    denoiser = Preconditioned(job.network.fitting(EVENT, **job.options), EDMPreconditioning())
    steps = 10**6
    settings = TrainSettings(steps=steps, batch_size=job.batch, log_every=job.block, checkpoint_every=steps)
    last = job.channels_last and job.device.type == "cuda"
    compute = ComputeSettings(precision=job.precision, compile=job.compile, channels_last=last)
    yield denoiser.backbone
    ema = EMA(denoiser, settings.ema_decay)
    for _ in train(denoiser, VP(), job.images(), settings, device=job.device, ema=ema, compute=compute):
        yield denoiser.backbone


def diffusers_example(job: Job) -> Iterator[nn.Module]:
    """The steps of examples/unconditional_image_generation/train_unconditional.py, with its --use_ema, in its order."""
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from diffusers.optimization import get_scheduler
    from diffusers.training_utils import EMAModel

    network = theirs(job.options)
    yield network
    accelerator = Accelerator(
        cpu=job.device.type == "cpu", mixed_precision="bf16" if job.precision == "bfloat16" else "no"
    )
    average = EMAModel(network.parameters(), decay=0.9999, use_ema_warmup=True, power=0.75)
    chain = DDPMScheduler(num_train_timesteps=1000)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4, betas=(0.95, 0.999), weight_decay=1e-6)
    loader = torch.utils.data.DataLoader(_Pictures(job.images()), batch_size=job.batch, shuffle=True)  # pyright: ignore
    rates = get_scheduler("cosine", optimizer=optimizer, num_warmup_steps=500, num_training_steps=10**6)
    compiled = torch.compile(network) if job.compile else network
    model, optimizer, loader, rates = accelerator.prepare(compiled, optimizer, loader, rates)
    average.to(accelerator.device)
    done = 0
    while True:
        model.train()
        for batch in loader:
            clean = batch["input"]
            noise = torch.randn(clean.shape, dtype=clean.dtype, device=clean.device)
            times = torch.randint(0, 1000, (len(clean),), device=clean.device).long()
            noisy = chain.add_noise(clean, noise, times)  # pyright: ignore
            with accelerator.accumulate(model):
                loss = mse_loss(model(noisy, times).sample.float(), noise.float())
                accelerator.backward(loss)
                if accelerator.sync_gradients:
                    accelerator.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                rates.step()
                optimizer.zero_grad()
            if accelerator.sync_gradients:
                average.step(network.parameters())
            loss.detach().item()  # the example's progress bar and tracker ask for it
            done += 1
            if done % job.block == 0:
                yield network


class _Pictures(torch.utils.data.Dataset):
    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return {"input": self.images[row]}


def denoising_diffusion_pytorch(job: Job) -> Iterator[nn.Module]:
    """Its Trainer, on a folder of images, with its own U-Net, of other blocks: time an operation is what compares."""
    from denoising_diffusion_pytorch import GaussianDiffusion, Trainer, Unet
    from torchvision.transforms.functional import to_pil_image

    full = tuple(level in job.options["attention"] for level in range(len(job.options["multipliers"])))
    network = Unet(job.options["width"], dim_mults=tuple(job.options["multipliers"]), full_attn=full, flash_attn=True)
    yield network
    with tempfile.TemporaryDirectory() as place, contextlib.redirect_stderr(io.StringIO()):
        for number, image in enumerate(job.images()[: max(128, 4 * job.batch)]):
            to_pil_image(image / 2 + 0.5).save(Path(place) / f"{number:05d}.png")
        chain = GaussianDiffusion(network, image_size=EVENT[1], timesteps=1000)
        half = job.precision == "bfloat16"
        trainer = Trainer(
            chain, place, train_batch_size=job.batch, train_num_steps=0, save_and_sample_every=10**9, amp=half,
            mixed_precision_type="bf16", calculate_fid=False, results_folder=f"{place}/results",
        )  # fmt: skip
        while True:
            trainer.train_num_steps += job.block
            with contextlib.redirect_stdout(io.StringIO()):
                trainer.train()
            yield network


CONTESTANTS: dict[str, Contestant] = {
    "ours": ours,
    "diffusers": diffusers_example,
    "denoising-diffusion-pytorch": denoising_diffusion_pytorch,
}
